"""Which calibration serves a measured run: by model, GPU, ranks and widths."""

import re
from functools import lru_cache
from pathlib import Path

from evaluators.calibration.calibration import Calibration, load, names
from evaluators.serving_runs.compositions import Finding, composing, nothing
from evaluators.serving_runs.measured import MeasuredRun, gpu_key, model_key

OTHERS = ("distserve", "splitwise", "bsc", "vidur")
"""Engines whose step times are not vLLM's of today."""


@lru_cache(maxsize=1)
def shipped() -> tuple[Calibration, ...]:
    """All calibrations that are shipped, by name."""
    return tuple(load(name) for name in names())


def finding(data: Path | None) -> Finding:
    """What finds a run's calibration: shipped, or composed from the tables of a folder.

    Nothing is composed without a folder. None where there is neither.
    """
    compose = composing(data) if data else nothing

    def find(run: MeasuredRun) -> Calibration | None:
        own = (each for each in shipped() if fits(each, run))
        return next(own, None) or compose(run)

    return find


def fits(calibration: Calibration, run: MeasuredRun) -> bool:
    """Whether a calibration is of what a run ran on."""
    named = f"{calibration.name} {calibration.engine}".lower()
    if (
        any(word in named for word in OTHERS)
        or engines(calibration.name) != run.engines
    ):
        return False
    of = (model_key(calibration.model), gpu_key(calibration.gpu), calibration.tp)
    if of != (run.model, run.gpu, run.tp):
        return False
    return widths(calibration.dtype) == (run.bits, run.kv_bits)


def engines(name: str) -> int:
    """How many data parallel engines a calibration is one of, as in ``x_dp2_h100``."""
    found = re.search(r"_dp(\d+)_", name)
    return int(found.group(1)) if found else 1


def widths(dtype: str) -> tuple[int, int]:
    """Bits of a weight and of a cached number, as in ``fp8, KV fp8`` or ``bfloat16``.

    KV numbers are of 16 bits where nothing is said of them.
    """
    weights, _, cached = dtype.lower().partition("kv")
    return _bits(weights), _bits(cached) if cached else 16


def _bits(dtype: str) -> int:
    found = re.search(r"(?:fp|int|float|e4m3|bits? )?(4|8|16|32)\b", dtype)
    return int(found.group(1)) if found else 16
