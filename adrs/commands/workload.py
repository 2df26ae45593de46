"""Print what the requests of a workload are like."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adrs.terminal import say
from adrs.workloads import configured
from evaluators.workloads.classes import CLASSES
from evaluators.workloads.statistics import (
    WINDOWS_S,
    LengthStatistics,
    Statistics,
    statistics,
)
from evaluators.workloads.trace import PS_PER_S, Trace

BAR_LETTERS = 50
ARRIVAL_BINS = 20


class WorkloadSettings(Protocol):
    """What this command reads of the configuration."""

    workload: Mapping[str, Any]
    data: str | None
    seed: int
    format: str


def run(settings: WorkloadSettings) -> int:
    """Print the statistics of the configured workload, as text or as JSON."""
    workload = configured(settings.workload, settings.data)
    trace = workload.whole(settings.seed)
    numbers = statistics(trace)
    if settings.format == "json":
        say(json.dumps({"workload": workload.name, **_plain(numbers)}, indent=2))
        return 0
    say("\n".join((f"workload {workload.name}", *_table(numbers))))
    for title, tokens in (
        ("prompt tokens", trace.prompt_tokens),
        ("output tokens", trace.output_tokens),
    ):
        say("\n".join(("", f"requests by {title}", *_lengths_histogram(tokens))))
    say("\n".join(("", "requests by time of arrival", *_arrivals_histogram(trace))))
    return 0


def _plain(numbers: Statistics) -> dict[str, Any]:
    """The numbers for JSON, which has neither nan nor infinity."""
    plain = asdict(numbers)
    plain["dispersion"] = list(map(_finite, numbers.dispersion))
    plain["gap_cv"] = _finite(numbers.gap_cv)
    plain["rate_per_s"] = _finite(numbers.rate_per_s)
    return plain


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _table(numbers: Statistics) -> list[str]:
    windows = " / ".join(f"{window} s" for window in WINDOWS_S)
    rows = {
        "requests": f"{numbers.requests:,}",
        "duration": f"{numbers.duration_s:,.0f} s",
        "rate": f"{numbers.rate_per_s:.3g} /s",
        "prompt tokens": _lengths(numbers.prompt_tokens),
        "output tokens": _lengths(numbers.output_tokens),
        "CV of gaps": f"{numbers.gap_cv:.2f}",
        f"dispersion of counts in {windows}": " / ".join(
            f"{value:.1f}" for value in numbers.dispersion
        ),
        "shares of tenants": _percents(numbers.tenant_shares),
        "shares of classes": ", ".join(
            f"{kind.name} {share:.1%}"
            for kind, share in zip(CLASSES, numbers.class_shares, strict=False)
        ),
        "error of predicted output": f"{numbers.prediction_error:.2f} (sd of log)",
    }
    width = max(map(len, rows))
    return [f"  {name:<{width}}  {value}" for name, value in rows.items()]


def _lengths(numbers: LengthStatistics) -> str:
    return (
        f"mean {numbers.mean:,.1f}, p50 {numbers.p50:,.0f}, p99 {numbers.p99:,.0f}, "
        f"most {numbers.most:,}"
    )


def _percents(shares: tuple[float, ...]) -> str:
    return ", ".join(f"{share:.1%}" for share in shares)


def _lengths_histogram(tokens: NDArray[np.int64]) -> list[str]:
    """Counts between powers of two."""
    power = np.log2(tokens).astype(np.int64)
    counts = np.bincount(power)
    first = int(power.min())
    labels = [f"{2**i:,} to {2 ** (i + 1) - 1:,}" for i in range(first, len(counts))]
    return _bars(labels, counts[first:].tolist())


def _arrivals_histogram(trace: Trace) -> list[str]:
    """Counts in equal parts of the duration."""
    arrived_s = (trace.arrived_ps - trace.arrived_ps[0]) / PS_PER_S
    counts, edges = np.histogram(arrived_s, ARRIVAL_BINS)
    return _bars([f"from {edge:,.0f} s" for edge in edges[:-1]], counts.tolist())


def _bars(labels: list[str], counts: list[int]) -> list[str]:
    width, digits = max(map(len, labels)), len(f"{max(counts):,}")
    return [
        f"  {label:>{width}}  {count:>{digits},}  "
        + "#" * round(count / max(counts) * BAR_LETTERS)
        for label, count in zip(labels, counts, strict=True)
    ]
