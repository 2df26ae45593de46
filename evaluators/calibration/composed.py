"""Calibrations composed from op tables: the file's content, with its own error."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evaluators.calibration.calibration_file import BLOCK_TOKENS, VERSION, step_time
from evaluators.calibration.compose import VLLM_GRAPHS, KernelSums
from evaluators.calibration.fit import Limits, fit, rounded
from evaluators.calibration.kv_memory import kv_memory
from evaluators.calibration.op_tables import OpTables
from evaluators.calibration.records import Provenance
from evaluators.calibration.regimes import regimes
from evaluators.calibration.samples import PS_PER_S, Samples
from evaluators.calibration.shapes import ModelShape, weight_bytes
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
    model, tp = wanted.model, wanted.tp
    sums = KernelSums(tables.without(), model, tp, wanted.graphs)
    memory = kv_memory(model, tables.gpu, tp, weight_bytes(wanted.dtype))
    kv_tokens = max(LEAST_KV_TOKENS, memory.blocks * BLOCK_TOKENS)
    shared = 1 if model.latent is not None else min(tp, model.kv_heads)
    token_s = model.kv_token_bytes / shared / tables.gpu.bytes_per_s
    limits = Limits(kv_tokens, token_s * PS_PER_S)
    fitted = fit(sums, limits)
    notes = sorted(sums.tables.notes)
    steps = regimes(sums, kv_tokens)
    blind = step_time(fit(sums.without_own(), limits))
    content = {
        "version": VERSION,
        "model": model.name,
        "gpu": tables.gpu.name,
        "dtype": wanted.dtype,
        "tp": tp,
        "engine": wanted.engine,
        "provenance": asdict(provenance),
        "status": "fitted from kernel tables",
        "assumptions": _assumptions(wanted, notes),
        "error": {
            "regimes": {name: errors(s, blind) for name, s in steps.items()},
            "reference": REFERENCE,
        },
        "kv_blocks": memory.blocks,
        "block_tokens": BLOCK_TOKENS,
        "kv_source": memory.source,
        "host": None,
        "links": {},
        "noise": None,
        "step_time": fitted,
    }
    return Composed(content, steps)


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
