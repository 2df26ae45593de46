"""Refits a step time to measured steps of a vLLM 0.8.5 on an H100 of 64 GB.

A folder holds ``e2e/bsc_vllm_h100_step_times.csv.gz`` (FerranAgulloLopez/
GPULLMAdapterOptimization, Apache-2.0; arXiv 2508.08343): steps by running batch. Decode
is about twice as slow there as on the H100 SXM whose kernels AIConfigurator timed, so
four constants are fitted on top of the sums of those kernels' matrices.
"""

import csv
import gzip
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evaluators.calibration.calibration_file import step_time
from evaluators.calibration.compose import KernelSums
from evaluators.calibration.composed import Composed, Outline, errors, summed
from evaluators.calibration.config_json import model_shape
from evaluators.calibration.curves import Bools, Floats
from evaluators.calibration.fit import least_squares
from evaluators.calibration.importers import aic
from evaluators.calibration.importers.asked import Asked, needed
from evaluators.calibration.op_tables import OpTables
from evaluators.calibration.records import Provenance
from evaluators.calibration.samples import Samples, steps
from evaluators.calibration.shapes import GPUS

FOLDER = "gpu"
FILE = "e2e/bsc_vllm_h100_step_times.csv.gz"
GPU = "h100-64g"
TABLES = "h100_sxm"
MS = 1e-3
CHUNK_TOKENS = 2048

NAMES = {
    "llama-3.1-8b": "llama-3.1-8b-instruct",
    "qwen2.5-7b": "qwen-2.5-7b-instruct",
}
REFERENCE_MODEL = "llama-3.1-8b"
FITTED = {"llama-3.1-8b": (50, 200, 600, 1000), "qwen2.5-7b": (200,)}
"""Batches that the constants of a model are fitted on; all others test them. Of another
model than the reference only what a sequence takes is its own."""

FITTED_BATCH, FITTED_LENGTH = 50, 100
"""Of the prefill runs, the one that what a prefill token takes more is fitted on."""

ASSUMPTIONS = (
    "The GPU is not named by its source: BLIS's notes call it an H100, and "
    "MareNostrum 5 has those of 64 GB, whose sheet stands here.",
    "Matrices take what AIConfigurator timed on an H100 SXM of 80 GB with vLLM 0.24.0; "
    "on top come constants a step, a KV byte, a sequence and a prefill token, which "
    "hold whatever else differs: memory, engine version, host, sampling.",
    "The contexts of a batch are on average half of the output length.",
    "Prefill attention takes what it does on the H100 SXM.",
)


class Measured(NamedTuple):
    """Rows of the file for one model and phase: batch, lengths, median step."""

    batch: Floats
    input_tokens: Floats
    output_tokens: Floats
    seconds: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Refitted:
    """Kernel sums with constants on top, in seconds: see ``Sums``."""

    kernels: KernelSums
    step_s: float = 0.0
    kv_byte_s: float = 0.0
    sequence_s: float = 0.0
    prefill_token_s: float = 0.0

    @property
    def graphs(self) -> tuple[int, ...]:
        """Sizes that a step of few tokens is padded to."""
        return self.kernels.graphs

    def tokens_s(self, tokens: Floats) -> Floats:
        """The layers' matrices, and what each step takes more."""
        return self.kernels.tokens_s(tokens) + self.step_s

    def head_s(self, rows: Floats) -> Floats:
        """The output matrix, and what each sequence takes more."""
        return self.kernels.head_s(rows) + self.sequence_s * rows

    def decode_s(self, batch: Floats, context: Floats) -> Floats:
        """Reading all keys and values."""
        kv_bytes = batch * context * self.kernels.model.kv_token_bytes
        return np.asarray(self.kv_byte_s * kv_bytes)

    def prefill_s(self, prefills: Floats, length: Floats, prefix: Floats) -> Floats:
        """Attention of chunks, and what each of their tokens takes more."""
        own = self.kernels.prefill_s(prefills, length, prefix)
        return np.asarray(own + self.prefill_token_s * prefills * length)

    def start_s(self) -> float:
        """The least that prefill attention takes."""
        return self.kernels.start_s()


def calibration(folder: Path | None, asked: Asked) -> Composed:
    """The calibration of one of the two models, errors on batches not fitted.

    Raises ``ValueError`` naming the file that is missing or is not what it should be.
    """
    folder = needed(folder, "the measured steps need", FOLDER)
    if asked.model not in NAMES:
        known = ", ".join(sorted(NAMES))
        raise ValueError(f"no steps of {asked.model!r}; there are {known}")
    refitted = refit(folder, asked.model)
    outline = Outline(
        model_shape(asked.model),
        GPUS[GPU],
        1,
        "bfloat16",
        "vllm 0.8.5 (BSC)",
        ASSUMPTIONS,
        _reference(asked.model),
    )
    provenance = Provenance(
        "FerranAgulloLopez/GPULLMAdapterOptimization (Apache-2.0; arXiv 2508.08343), "
        f"steps by batch from vLLM's logs; matrices from {aic.source(TABLES)}",
        "an H100 of a BSC node, not named",
        flags="max_num_batched_tokens 2048",
    )
    made = summed(refitted, refitted, outline, provenance)
    samples = unseen(folder, asked.model)
    times = step_time(made.content["step_time"])
    made.content["status"] = "fitted from measured steps"
    made.content["error"]["regimes"] = {n: errors(s, times) for n, s in samples.items()}
    return Composed(made.content, samples)


def refit(folder: Path, model: str) -> Refitted:
    """The kernel sums with the constants that the fitted batches give."""
    tables = aic.read(folder / "aiconfigurator", TABLES)
    reference = _decoding(folder, REFERENCE_MODEL, tables)
    if model == REFERENCE_MODEL:
        found = reference
    else:
        own = replace(reference, kernels=KernelSums(tables, model_shape(model), 1))
        found = replace(own, sequence_s=_sequence_s(own, read(folder, model, "output")))
    return replace(found, prefill_token_s=_prefill_token_s(folder, reference))


def _decoding(folder: Path, model: str, tables: OpTables) -> Refitted:
    """What a step, a KV byte and a sequence take, least in relative error."""
    sums = Refitted(KernelSums(tables, model_shape(model), 1))
    rows = _chosen(read(folder, model, "output"), model, is_fitted=True)
    kv_bytes = rows.batch * _context(rows) * sums.kernels.model.kv_token_bytes
    columns = np.stack([np.ones(len(kv_bytes)), kv_bytes, rows.batch], 1)
    scale = columns.max(axis=0)
    left = rows.seconds - sums.tokens_s(rows.batch) - sums.head_s(rows.batch)
    step, kv, sequence = least_squares(columns / scale, left, rows.seconds) / scale
    return replace(
        sums, step_s=float(step), kv_byte_s=float(kv), sequence_s=float(sequence)
    )


def _sequence_s(sums: Refitted, rows: Measured) -> float:
    """What a sequence takes in a model of which little is fitted."""
    some = _chosen(rows, sums.kernels.model.name, is_fitted=True)
    bare = replace(sums, sequence_s=0.0)
    left = some.seconds - _decode_step_s(bare, some)
    return float(least_squares(some.batch[:, None], left, some.seconds)[0])


def _prefill_token_s(folder: Path, sums: Refitted) -> float:
    rows = read(folder, REFERENCE_MODEL, "input")
    own = (rows.batch == FITTED_BATCH) & (rows.input_tokens == FITTED_LENGTH)
    some = Measured(*(column[own] for column in rows))
    left = some.seconds - _prefill_step_s(sums, some)
    return float(max(0.0, np.median(left)) / CHUNK_TOKENS)


def unseen(folder: Path, model: str) -> dict[str, Samples]:
    """Measured steps that no constant was fitted on."""
    rows = _chosen(read(folder, model, "output"), model, is_fitted=False)
    none = np.zeros(len(rows.batch))
    drawn = steps(none, none, none, rows.batch, _context(rows))
    found = {"decode, other batches": Samples(**drawn, seconds=rows.seconds)}
    if model == REFERENCE_MODEL:
        rows = read(folder, model, "input")
        other = (rows.batch != FITTED_BATCH) | (rows.input_tokens != FITTED_LENGTH)
        rows = Measured(*(column[other] for column in rows))
        none = np.zeros(len(rows.batch))
        drawn = steps(_prompts(rows), rows.input_tokens, none, none, none)
        found["prefill, other lengths"] = Samples(**drawn, seconds=rows.seconds)
    return found


def read(folder: Path, model: str, phase: str) -> Measured:
    """Median steps of a model in a phase, ``output`` or ``input``."""
    path = folder / FILE
    try:
        text = gzip.decompress(path.read_bytes()).decode("utf-8")
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    rows = list(csv.DictReader(text.splitlines()))
    names = ("max_num_seqs", "input_len", "output_len", "step_ms_p50")
    missing = {"model", "phase", *names} - set(rows[0] if rows else ())
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(sorted(missing))}, or no row"
        )
    own = [row for row in rows if (row["model"], row["phase"]) == (NAMES[model], phase)]
    if not own:
        raise ValueError(f"{path} has no {phase} steps of {NAMES[model]}")
    columns = [np.array([float(row[name]) for row in own]) for name in names]
    return Measured(columns[0], columns[1], columns[2], columns[3] * MS)


def _chosen(rows: Measured, model: str, is_fitted: bool) -> Measured:
    own: Bools = np.isin(rows.batch, FITTED[model]) == is_fitted
    return Measured(*(column[own] for column in rows))


def _context(rows: Measured) -> Floats:
    """Mean KV tokens that each decode reads."""
    return rows.input_tokens + rows.output_tokens / 2


def _prompts(rows: Measured) -> Floats:
    """Prompts in a chunk of 2048 tokens."""
    return np.floor(CHUNK_TOKENS / rows.input_tokens)


def _decode_step_s(sums: Refitted, rows: Measured) -> Floats:
    attention = sums.decode_s(rows.batch, _context(rows))
    return sums.tokens_s(rows.batch) + sums.head_s(rows.batch) + attention


def _prefill_step_s(sums: Refitted, rows: Measured) -> Floats:
    prompts, none = _prompts(rows), np.zeros(len(rows.batch))
    tokens = prompts * rows.input_tokens
    attention = sums.prefill_s(prompts, rows.input_tokens, none)
    return sums.tokens_s(tokens) + sums.head_s(np.ones(len(tokens))) + attention


def _reference(model: str) -> str:
    fitted = ", ".join(map(str, FITTED[model]))
    return (
        f"measured steps at batches that no constant was fitted on (fitted: {fitted}, "
        f"and Llama-3.1-8B's {', '.join(map(str, FITTED[REFERENCE_MODEL]))}; prefill: "
        f"Llama-3.1-8B, batch {FITTED_BATCH}, prompts of {FITTED_LENGTH}) (median, "
        "90th percentile)"
    )
