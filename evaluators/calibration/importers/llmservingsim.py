"""Reads the profiles of LLMServingSim (casys-kaist, MIT): layers timed inside vLLM.

A folder holds ``GPU/ORGANISATION/MODEL/bf16/meta.yaml`` and beside it ``tpN/`` with
attention, dense, per_sequence and, for experts, moe, as ``.csv`` or ``.csv.gz``, in us.
"""

import csv
import gzip
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evaluators.calibration.beside import fit_beside, held_out
from evaluators.calibration.calibration_file import BLOCK_TOKENS, step_time
from evaluators.calibration.compose import VLLM_GRAPHS
from evaluators.calibration.composed import Composed, Outline, errors, summed
from evaluators.calibration.config_json import model_shape
from evaluators.calibration.curves import Columns, Curve, Floats, curve, sheet
from evaluators.calibration.importers.asked import Asked, needed
from evaluators.calibration.layer_sums import LayerSums
from evaluators.calibration.records import Provenance
from evaluators.calibration.samples import Samples, steps
from evaluators.calibration.shapes import GPUS, ModelShape

FOLDER = "gpu/llmservingsim/perf"
ENGINES = ("dp2",)
US = 1e-6

GPU_NAMES = {"RTXPRO6000": "rtx-pro-6000-96g", "RTX4090": "rtx-4090-24g"}
MODEL_FOLDERS = {
    "llama-3.1-8b": "meta-llama/Llama-3.1-8B",
    "qwen3-32b": "Qwen/Qwen3-32B",
    "qwen3-30b-a3b": "Qwen/Qwen3-30B-A3B-Instruct-2507",
}
TWICE = ("layernorm",)
ONCE = ("embedding", "final_layernorm")
"""Layers that a step runs twice a transformer layer, and once in all."""

KEYS = ("prefill_chunk", "kv_prefill", "n_decode", "kv_decode")
"""Of attention: a chunk after so many tokens, beside decodes of equal contexts."""

STEP_TOKENS, CONTEXT = 2048, 16384
"""The largest step and context that were profiled."""

LINK_START_S, LINK_BYTES_PER_S = 20e-6, 16e9
MIXED, TOGETHER = "prefill with decodes", "prefill with decodes, profiled together"

RING_STEPS = 2  # of an all-reduce of two ranks: halves there, halves back

ASSUMPTIONS = (
    "A step is the sum of its layers as kernels; the host adds nothing per step.",
    "Decode batches of unequal contexts cost what their total context costs.",
    "In a mixed step the attention of prefills runs after that of decodes, its start "
    "not paid again, and each decode and context token beside a prefill takes longer "
    "by a price of its own, however long the prefill: fitted to two thirds of the "
    "steps whose attention was profiled together, decodes of equal contexts.",
    "Several prefills of a step run one after the other.",
    f"Steps beyond {STEP_TOKENS} tokens and contexts beyond {CONTEXT} go on as the "
    "last profiled ones.",
    "Layers were profiled without CUDA graphs; steps are padded as vLLM's graphs are.",
)
LINKED = (
    "All-reduces between two GPUs take 2 x (20 us + half the bytes at 16 GB/s): the "
    "link of LLMServingSim's own simulation of this run, measured by nobody."
)
PARTED = (
    "Served by two engines (DP 2, EP 2): each holds half of the experts and meets the "
    "tokens of both, which two exchanges a layer over that link bring and return."
)
REFERENCE = (
    "sums of the profiled layers, with a fit to tables that lack every third size, "
    "batch and context (median, 90th percentile); where profiled together, with the "
    "file's own fit, on the third of those steps that it did not see; not a measured "
    "engine step"
)


class Profile(NamedTuple):
    """Tables of a model on a GPU, and the folder they came from."""

    dense: Columns
    rows: Columns
    attention: Columns
    moe: Columns | None
    meta: Mapping[str, str]


def calibration(folder: Path | None, asked: Asked) -> Composed:
    """The calibration of a profiled model; ``engine`` "dp2" parts experts over two.

    Raises ``ValueError`` naming the file that is missing or is not what it should be.
    """
    folder = needed(folder, "LLMServingSim's profiles need", FOLDER)
    if asked.gpu not in GPU_NAMES:
        known = ", ".join(sorted(GPU_NAMES))
        raise ValueError(f"no profile of {asked.gpu!r}; there are {known}")
    model, gpu = model_shape(asked.model), GPUS[GPU_NAMES[asked.gpu]]
    profile = read(folder, asked)
    sums = layer_sums(profile, model, asked)
    provenance = Provenance(
        "LLMServingSim (casys-kaist, MIT), its profiler's hooks inside vLLM "
        f"{profile.meta['vllm_version']}: {asked.gpu}, {MODEL_FOLDERS[asked.model]}",
        profile.meta["gpu"],
        flags=f"eager, CUDA {profile.meta['cuda_version']}",
        date=profile.meta["profiled_at"][:10],
    )
    more = (LINKED,) * (asked.tp > 1) + (PARTED, LINKED) * (asked.engine == "dp2")
    outline = Outline(
        model,
        gpu,
        asked.tp,
        "bfloat16",
        f"vllm {profile.meta['vllm_version']}",
        (*ASSUMPTIONS, *more),
        REFERENCE,
        STEP_TOKENS,
        CONTEXT,
        _held(model, asked),
    )
    made = summed(sums, sums.without_own(), outline, provenance)
    kv_tokens = made.content["kv_blocks"] * BLOCK_TOKENS
    return with_mixed(made, mixed_steps(profile, sums, kv_tokens))


def with_mixed(made: Composed, together: Samples) -> Composed:
    """The same with prices of decodes beside a prefill, fitted to such steps.

    Their error takes the place of that of steps summed as if one ran after the other.
    """
    parts = made.content["step_time"]
    known = {**parts, **fit_beside(together, step_time(parts))}
    mixed = {f"{TOGETHER}, {batch}": s for batch, s in held_out(together).items()}
    told = {n: e for n, e in made.content["error"]["regimes"].items() if n != MIXED}
    told |= {name: errors(s, step_time(known)) for name, s in mixed.items()}
    error = {**made.content["error"], "regimes": told}
    steps_told = {n: s for n, s in made.steps.items() if n != MIXED}
    return Composed(
        {**made.content, "error": error, "step_time": known}, {**steps_told, **mixed}
    )


def mixed_steps(profile: Profile, sums: LayerSums, kv_tokens: int) -> Samples:
    """Steps whose prefill and decode attention were profiled together.

    Those that fit ``kv_tokens`` and a step of 2,048 tokens.
    """
    table = profile.attention
    chunk, prefix, decodes, context = (np.asarray(table[k], float) for k in KEYS)
    held = chunk + prefix + decodes * context
    rows = (chunk > 0) & (decodes > 0) & (held <= kv_tokens)
    rows &= chunk + decodes <= STEP_TOKENS
    chunk, prefix, decodes, context = (
        x[rows] for x in (chunk, prefix, decodes, context)
    )
    attention = sums.layers * np.asarray(table["seconds"], float)[rows]
    seconds = sums.tokens_s(chunk + decodes) + sums.head_s(decodes) + attention
    drawn = steps(np.ones(len(chunk)), chunk, prefix, decodes, context)
    return Samples(**drawn, seconds=seconds)


def _held(model: ModelShape, asked: Asked) -> ModelShape:
    """What one engine holds: half of the experts where two engines part them."""
    if asked.engine != "dp2" or model.experts is None:
        return model
    return replace(
        model, experts=model.experts._replace(number=model.experts.number // 2)
    )


def read(folder: Path, asked: Asked) -> Profile:
    """The tables of a model with ``tp`` ranks."""
    if asked.model not in MODEL_FOLDERS:
        known = ", ".join(sorted(MODEL_FOLDERS))
        raise ValueError(f"no profile of {asked.model!r}; there are {known}")
    base = folder / asked.gpu / MODEL_FOLDERS[asked.model] / "bf16"
    tables = base / f"tp{asked.tp}"
    has_experts = model_shape(asked.model).experts is not None
    return Profile(
        dense=_table(tables, "dense", ("layer", "tokens")),
        rows=_table(tables, "per_sequence", ("layer", "sequences")),
        attention=_table(tables, "attention", KEYS),
        moe=_table(tables, "moe", ("tokens", "activated_experts"))
        if has_experts
        else None,
        meta=_meta(base / "meta.yaml", asked.gpu),
    )


def layer_sums(profile: Profile, model: ModelShape, asked: Asked) -> LayerSums:
    """The sums of a profile's tables."""
    tokens = {
        name: (1.0 if name in ONCE else model.layers * (1.0 + (name in TWICE)), own)
        for name, own in _by_layer(profile.dense, "tokens").items()
    }
    sizes = next(iter(tokens.values()))[1].sizes
    if asked.tp > 1:
        moved = sizes * model.hidden * 2
        once = RING_STEPS * (LINK_START_S + moved / 2 / LINK_BYTES_PER_S)
        tokens["all-reduces"] = (2 * model.layers + 1.0, Curve(sizes, once))
    if profile.moe is not None and model.experts is not None:
        n_engines = 2 if asked.engine == "dp2" else 1
        own = _experts(profile.moe, model, sizes, n_engines)
        tokens["experts"] = (float(model.layers), own)
        if n_engines > 1:
            once = LINK_START_S + sizes * model.hidden * 2 / LINK_BYTES_PER_S
            tokens["exchanges"] = (2.0 * model.layers, Curve(sizes, once))
    table = profile.attention
    alone = table["prefill_chunk"] == 0
    decodes = {name: v[alone] for name, v in table.items()}
    chunks = {name: v[table["n_decode"] == 0] for name, v in table.items()}
    return LayerSums(
        tokens,
        _by_layer(profile.rows, "sequences"),
        sheet({**decodes, "batch": decodes["n_decode"]}, "kv_decode", False),
        sheet({**chunks, "batch": chunks["kv_prefill"]}, "prefill_chunk", True),
        model.layers,
        VLLM_GRAPHS,
    )


def _experts(moe: Columns, model: ModelShape, sizes: Floats, n_engines: int) -> Curve:
    """An expert layer by tokens of one engine, as many experts met as chance meets."""
    experts = model.experts
    assert experts is not None
    held = experts.number / n_engines
    tokens = sizes * n_engines
    met = held * (1 - (1 - experts.topk / experts.number) ** tokens)
    grid = sheet({**moe, "batch": moe["activated_experts"]}, "tokens", False)
    return Curve(sizes, grid.at(np.maximum(met, grid.batches[0]), tokens))


def _by_layer(table: Columns, size: str) -> dict[str, Curve]:
    found = {}
    for name in np.unique(table["layer"]).tolist():
        rows = table["layer"] == name
        found[str(name)] = curve(table[size][rows], table["seconds"][rows])
    return found


def _table(folder: Path, name: str, keys: tuple[str, ...]) -> Columns:
    """Columns of a CSV file, its times in seconds."""
    path = folder / f"{name}.csv"
    if not path.is_file():
        path = folder / f"{name}.csv.gz"
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    rows = list(csv.DictReader(text.decode("utf-8").splitlines()))
    missing = {*keys, "time_us"} - set(rows[0] if rows else ())
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(sorted(missing))}, or no row"
        )
    if len({tuple(row[key] for key in keys) for row in rows}) != len(rows):
        raise ValueError(f"{path} has rows of the same {', '.join(keys)}")
    try:
        table = {key: _numbers([row[key] for row in rows], key) for key in keys}
        seconds = np.array([float(row["time_us"]) for row in rows]) * US
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} holds what is no number: {error}") from error
    if not (np.isfinite(seconds) & (seconds > 0)).all():
        raise ValueError(f"{path}: time_us must be a positive number in every row")
    return {**table, "seconds": seconds}


def _numbers(values: list[str], key: str) -> np.ndarray:
    return np.array(values) if key == "layer" else np.array(values, float)


def _meta(path: Path, gpu: str) -> dict[str, str]:
    """The top-level texts of meta.yaml that a calibration tells."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    pairs = [line.split(": ", 1) for line in lines if ": " in line and line[0] != " "]
    found = {key: value.strip("'\"") for key, value in pairs}
    wanted = ("vllm_version", "cuda_version", "gpu", "hardware", "profiled_at")
    missing = [key for key in wanted if key not in found]
    if missing:
        raise ValueError(f"{path} does not say {', '.join(missing)}")
    if found["hardware"] != gpu:
        raise ValueError(f"{path} is of {found['hardware']}; expected {gpu}")
    return found
