"""Calibrations composed from op tables: the file's content, with its own error."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from evaluators.calibration.calibration_file import (
    BLOCK_TOKENS,
    VERSION,
    named,
    step_time,
)
from evaluators.calibration.compose import VLLM_GRAPHS, KernelSums
from evaluators.calibration.fit import Limits, Sums, fit, rounded
from evaluators.calibration.kv_memory import KvMemory, kv_memory
from evaluators.calibration.op_tables import OpTables
from evaluators.calibration.records import Provenance
from evaluators.calibration.regimes import regimes
from evaluators.calibration.samples import PS_PER_S, Samples
from evaluators.calibration.shapes import GpuSheet, ModelShape, weight_bytes
from evaluators.calibration.step_time import StepTime

LEAST_KV_TOKENS = 16384

REFERENCE = (
    "sums of the same tables' kernels, at steps drawn anew and with a fit that saw "
    "none of this model's own matrices, heads and experts where they are tabulated "
    "(median, 90th percentile); not a measured engine step"
)
ASSUMPTIONS = (
    "A step is the sum of its kernels; the host adds nothing per step, since a fitted "
    "per-step constant made unseen models worse. Host time before the first token "
    "(about 6 ms in measured runs) is no part of a step.",
    "Five element-wise kernels a layer and two of the sampler at 3 us + bytes / (0.8 "
    "of peak bandwidth): AIConfigurator's corrections, not timed by anyone here.",
    "Decode batches of unequal contexts cost what their total context costs; the "
    "tables have equal contexts only.",
    "A prefill chunk after a computed prefix is taken from whole prompts; on another "
    "GPU's table of such chunks that errs by up to 12 % from 256 tokens a chunk on.",
    "In a mixed step the attention of prefills runs after that of decodes, its start "
    "not paid again.",
)
PADDED = "Steps of up to {most} tokens are padded to vLLM's next captured CUDA graph."
ROUTED = (
    "Tokens choose experts between evenly (balanced) and by a power law of exponent "
    "1.01: the mean of the tables that there are."
)
OUTSIDE = "Outside the tables: {notes}."


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which calibration to compose: the model's sizes, ranks, dtype and engine."""

    model: ModelShape
    tp: int
    dtype: str
    engine: str
    graphs: tuple[int, ...] = VLLM_GRAPHS


@dataclass(frozen=True, slots=True)
class Outline:
    """All of a calibration that does not follow from its sums.

    ``step_tokens`` and ``context`` are the largest step and context to fit; ``held`` is
    what the engine holds of the model where that is not all of it.
    """

    model: ModelShape
    gpu: GpuSheet
    tp: int
    dtype: str
    engine: str
    assumptions: tuple[str, ...]
    reference: str
    step_tokens: int = 16384
    context: int = 65536
    held: ModelShape | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Composed:
    """A calibration's file content, and the steps by regime that its error is of."""

    content: dict[str, Any]
    steps: dict[str, Samples]


def composed(tables: OpTables, wanted: Wanted, provenance: Provenance) -> Composed:
    """The calibration of a model by the kernel sums that the tables give.

    Raises ``ValueError`` when the model does not fit the GPUs or needs a table that is
    not there.
    """
    model, tp, dtype = wanted.model, wanted.tp, wanted.dtype
    if model.heads % tp or max(model.kv_heads, tp) % min(model.kv_heads, tp):
        raise ValueError(
            f"{model.name} has {model.heads} heads, {model.kv_heads} of keys and "
            f"values; {tp} ranks cannot part them evenly"
        )
    sums = KernelSums(tables.without(), model, tp, wanted.graphs)
    outline = Outline(model, tables.gpu, tp, dtype, wanted.engine, (), REFERENCE)
    fit(sums, _limits(outline))  # leaves its notes of what no table holds
    told = tuple(_assumptions(wanted, sorted(sums.tables.notes)))
    return summed(
        sums, sums.without_own(), replace(outline, assumptions=told), provenance
    )


def summed(
    sums: Sums, blind: Sums, outline: Outline, provenance: Provenance
) -> Composed:
    """The calibration fitted to sums, its error that of a fit to ``blind`` ones."""
    limits = _limits(outline)
    memory = _memory(outline)
    steps = regimes(sums, limits)
    unseen = step_time(fit(blind, limits))
    content = {
        "version": VERSION,
        "model": named(outline.model),
        "gpu": outline.gpu.name,
        "dtype": outline.dtype,
        "tp": outline.tp,
        "engine": outline.engine,
        "provenance": asdict(provenance),
        "status": "fitted from kernel tables",
        "assumptions": list(outline.assumptions),
        "error": {
            "regimes": {name: errors(s, unseen) for name, s in steps.items()},
            "reference": outline.reference,
        },
        "kv_blocks": memory.blocks,
        "block_tokens": BLOCK_TOKENS,
        "kv_source": memory.source,
        "host": None,
        "links": {},
        "noise": None,
        "step_time": fit(sums, limits),
    }
    return Composed(content, steps)


def _memory(outline: Outline) -> KvMemory:
    width = weight_bytes(outline.dtype)
    return kv_memory(outline.held or outline.model, outline.gpu, outline.tp, width)


def _limits(outline: Outline) -> Limits:
    """KV tokens that fit, and what reading one takes at the peak bandwidth."""
    model, tp = outline.model, outline.tp
    shared = 1 if model.latent is not None else min(tp, model.kv_heads)
    token_s = model.kv_token_bytes / shared / outline.gpu.bytes_per_s
    return Limits(
        max(LEAST_KV_TOKENS, _memory(outline).blocks * BLOCK_TOKENS),
        token_s * PS_PER_S,
        outline.step_tokens,
        outline.context,
    )


def errors(samples: Samples, times: StepTime) -> list[float]:
    """Median and 90th percentile of the absolute relative error."""
    every = np.abs(samples.errors(times))
    return rounded([float(np.median(every)), float(np.quantile(every, 0.9))])


def _assumptions(wanted: Wanted, notes: list[str]) -> list[str]:
    found = list(ASSUMPTIONS)
    if wanted.graphs:
        found.append(PADDED.format(most=wanted.graphs[-1]))
    if wanted.model.experts is not None:
        found.append(ROUTED)
    if notes:
        found.append(OUTSIDE.format(notes="; ".join(notes)))
    return found
