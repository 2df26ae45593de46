"""Which calibration serves a measured run: by model, GPU, ranks and widths."""

import re
from collections.abc import Iterable
from functools import lru_cache

from evaluators.calibration.calibration import Calibration, load, names
from evaluators.serving_runs.measured import MeasuredRun, gpu_key, model_key

OTHERS = ("distserve", "splitwise", "bsc")
"""Engines whose step times are not vLLM's of today."""


@lru_cache(maxsize=1)
def shipped() -> tuple[Calibration, ...]:
    """All calibrations that are shipped, by name."""
    return tuple(load(name) for name in names())


def calibration_of(
    run: MeasuredRun, known: Iterable[Calibration]
) -> Calibration | None:
    """The first of these that is of the run's model, GPU, ranks and widths."""
    for each in known:
        if fits(each, run):
            return each
    return None


def fits(calibration: Calibration, run: MeasuredRun) -> bool:
    """Whether a calibration is of what a run ran on."""
    named = f"{calibration.name} {calibration.engine}".lower()
    if any(word in named for word in OTHERS):
        return False
    of = (model_key(calibration.model), gpu_key(calibration.gpu), calibration.tp)
    if of != (run.model, run.gpu, run.tp):
        return False
    return widths(calibration.dtype) == (run.bits, run.kv_bits)


def widths(dtype: str) -> tuple[int, int]:
    """Bits of a weight and of a cached number, as in ``fp8, KV fp8`` or ``bfloat16``.

    KV numbers are of 16 bits where nothing is said of them.
    """
    weights, _, cached = dtype.lower().partition("kv")
    return _bits(weights), _bits(cached) if cached else 16


def _bits(dtype: str) -> int:
    found = re.search(r"(?:fp|int|float|e4m3|bits? )?(4|8|16|32)\b", dtype)
    return int(found.group(1)) if found else 16
