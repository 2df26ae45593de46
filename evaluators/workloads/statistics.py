"""What a trace is like: lengths, burstiness and shares, as tables of traces give."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.workloads.trace import PS_PER_S, Ints, Trace

WINDOWS_S = (1, 10, 60)


@dataclass(frozen=True, slots=True)
class LengthStatistics:
    """Tokens a request: mean, median, 99th percentile, most."""

    mean: float
    p50: float
    p99: float
    most: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """A trace in numbers.

    ``gap_cv`` is the coefficient of variation of the times between arrivals.
    ``dispersion`` is variance / mean of the counts in windows of ``WINDOWS_S`` seconds
    (1 for a Poisson process; nan where less than two whole windows fit). Shares are by
    index of tenant and of service class.
    """

    requests: int
    duration_s: float
    rate_per_s: float
    prompt_tokens: LengthStatistics
    output_tokens: LengthStatistics
    gap_cv: float
    dispersion: tuple[float, ...]
    tenant_shares: tuple[float, ...]
    class_shares: tuple[float, ...]
    prediction_error: float


def statistics(trace: Trace) -> Statistics:
    """Numbers of a trace; rate and duration count from the first arrival."""
    arrived_s = (trace.arrived_ps - trace.arrived_ps[0]) / PS_PER_S
    duration_s = float(arrived_s[-1])
    gaps = np.diff(arrived_s)
    errors = np.log(trace.predicted_tokens / trace.output_tokens)
    return Statistics(
        requests=len(trace),
        duration_s=duration_s,
        rate_per_s=len(trace) / duration_s if duration_s else float("inf"),
        prompt_tokens=_lengths(trace.prompt_tokens),
        output_tokens=_lengths(trace.output_tokens),
        gap_cv=float(gaps.std() / gaps.mean()) if gaps.any() else float("nan"),
        dispersion=tuple(_dispersion(arrived_s, window) for window in WINDOWS_S),
        tenant_shares=_shares(trace.tenant),
        class_shares=_shares(trace.slo_class),
        prediction_error=float(errors.std()),
    )


def _lengths(tokens: Ints) -> LengthStatistics:
    p50, p99 = np.percentile(tokens, [50, 99])
    return LengthStatistics(
        float(tokens.mean()), float(p50), float(p99), int(tokens.max())
    )


def _dispersion(arrived_s: NDArray[np.float64], window_s: int) -> float:
    n_windows = int(arrived_s[-1] // window_s)
    if n_windows < 2:
        return float("nan")
    index = (arrived_s // window_s).astype(np.int64)
    counts = np.bincount(index[index < n_windows], minlength=n_windows)
    return float(counts.var() / counts.mean())


def _shares(column: Ints) -> tuple[float, ...]:
    return tuple((np.bincount(column) / len(column)).tolist())
