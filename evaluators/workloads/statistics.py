"""What a trace is like: lengths, burstiness and shares, as tables of traces give."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.workloads.relations import is_new
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
class SharingStatistics:
    """What prompts have in common.

    ``blocks`` are the full blocks of all prompts, ``unique_blocks`` the contents among
    them. The hits are those of an endless cache that serves in order of arrival and
    keeps prompts and outputs: as a share of the prompts' full blocks, and of all their
    tokens.
    """

    block_tokens: int
    blocks: int
    unique_blocks: int
    hit_blocks: float
    hit_tokens: float


@dataclass(frozen=True, slots=True)
class SessionStatistics:
    """Closed loops: requests of each, and waits in seconds (nan: there is none)."""

    sessions: int
    requests: LengthStatistics
    tool_share: float
    tool_wait_s: tuple[float, float]
    think_s: tuple[float, float]


@dataclass(frozen=True, slots=True)
class PriorityStatistics:
    """Levels of the tenants; ``stay`` is the share that an update does not change."""

    period_s: float
    levels: int
    updates: int
    stay: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """A trace in numbers.

    ``gap_cv`` is the coefficient of variation of the times between arrivals.
    ``dispersion`` is variance / mean of the counts in windows of ``WINDOWS_S`` seconds
    (1 for a Poisson process; nan where less than two whole windows fit). Shares are by
    index of tenant and of service class. What a trace does not have is None.
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
    sharing: SharingStatistics | None
    sessions: SessionStatistics | None
    priorities: PriorityStatistics | None


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
        sharing=_sharing(trace),
        sessions=_sessions(trace),
        priorities=_priorities(trace),
    )


def _sharing(trace: Trace) -> SharingStatistics | None:
    prefixes = trace.prefixes
    if prefixes is None:
        return None
    lengths = np.diff(prefixes.offsets)
    place = np.arange(len(prefixes.ids)) - np.repeat(prefixes.offsets[:-1], lengths)
    is_prompt = place < np.repeat(trace.prompt_tokens // prefixes.block_tokens, lengths)
    hits = int(np.count_nonzero(is_prompt & ~is_new(prefixes)))
    blocks = int(np.count_nonzero(is_prompt))
    return SharingStatistics(
        block_tokens=prefixes.block_tokens,
        blocks=blocks,
        unique_blocks=int(np.count_nonzero(np.bincount(prefixes.ids[is_prompt]))),
        hit_blocks=hits / max(1, blocks),
        hit_tokens=hits * prefixes.block_tokens / int(trace.prompt_tokens.sum()),
    )


def _sessions(trace: Trace) -> SessionStatistics | None:
    relations = trace.sessions
    if relations is None:
        return None
    session = np.arange(len(trace))
    for row in np.flatnonzero(relations.after >= 0).tolist():
        session[row] = session[relations.after[row]]
    counts = np.unique(session, return_counts=True)[1]
    follows, is_tool = relations.after >= 0, relations.is_tool == 1
    return SessionStatistics(
        sessions=len(counts),
        requests=_lengths(counts),
        tool_share=float(is_tool[follows].mean()) if follows.any() else float("nan"),
        tool_wait_s=_waits_s(relations.wait_ps[follows & is_tool]),
        think_s=_waits_s(relations.wait_ps[follows & ~is_tool]),
    )


def _waits_s(waits_ps: Ints) -> tuple[float, float]:
    """Median and 99th percentile."""
    if not waits_ps.size:
        return float("nan"), float("nan")
    p50, p99 = np.percentile(waits_ps / PS_PER_S, [50, 99])
    return float(p50), float(p99)


def _priorities(trace: Trace) -> PriorityStatistics | None:
    if trace.priorities is None:
        return None
    levels = trace.priorities.levels
    stays = np.diff(levels, axis=0) == 0
    return PriorityStatistics(
        period_s=trace.priorities.period_ps / PS_PER_S,
        levels=len(np.unique(levels)),
        updates=len(levels),
        stay=float(stays.mean()) if stays.size else float("nan"),
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
