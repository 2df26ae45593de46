"""Print and draw what the requests of a workload are like."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

from adrs.chart import svg
from adrs.terminal import say
from adrs.whole_file import write_whole
from adrs.workloads import configured
from adrs.writable import writing
from evaluators.workloads.classes import CLASSES
from evaluators.workloads.histograms import Histogram, histograms
from evaluators.workloads.statistics import (
    WINDOWS_S,
    LengthStatistics,
    Statistics,
    statistics,
)
from evaluators.workloads.trace import Trace

RUNS = Path("runs")
BAR_LETTERS = 50
SHOWN_SHARES = 8
ARRIVAL_WINDOWS = 20
DRAWN_WINDOWS, DRAWN_PARTS = 120, 4
"""Of the picture: windows of arrivals, and bars for each doubling of a length."""


class WorkloadSettings(Protocol):
    """What this command reads of the configuration."""

    workload: Mapping[str, Any]
    data: str | None
    seed: int
    plot: str | None
    format: str


def run(settings: WorkloadSettings) -> int:
    """Print the statistics of the configured workload, as text or as JSON, and draw it.

    Raises ``ValueError`` or ``OSError`` with one line when it cannot be had or drawn.
    """
    workload = configured(settings.workload, settings.data)
    trace = workload.whole(settings.seed)
    numbers = statistics(trace)
    path = _drawn(workload.name, trace, settings.plot)
    if settings.format == "json":
        plain = {"workload": workload.name, **_plain(asdict(numbers))}
        say(json.dumps({**plain, "plot": str(path)}, indent=2))
        return 0
    say("\n".join((f"workload {workload.name}", *_table(numbers))))
    for histogram in histograms(trace, ARRIVAL_WINDOWS, parts=1):
        say("\n".join(("", histogram.title, *_bars(histogram))))
    say(f"\nplot: {path}")
    return 0


def _drawn(name: str, trace: Trace, asked: str | None) -> Path:
    """Draw the trace and say where."""
    path = Path(asked).expanduser() if asked else RUNS / f"workload-{name}.svg"
    title = f"{name}: {len(trace):,} requests"
    picture = svg(title, histograms(trace, DRAWN_WINDOWS, DRAWN_PARTS))
    with writing(path, "plot=FILE"):
        write_whole(path, picture)
    return path


def _plain(value: Any) -> Any:  # noqa: ANN401 (whatever JSON can hold)
    """The numbers for JSON, which has neither nan nor infinity."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _table(numbers: Statistics) -> list[str]:
    windows = " / ".join(f"{window} s" for window in WINDOWS_S)
    rows = {
        "requests": f"{numbers.requests:,}",
        "duration": f"{numbers.duration_s:,.0f} s",
        "rate": _rate(numbers),
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
    rows |= _relations(numbers)
    width = max(map(len, rows))
    return [f"  {name:<{width}}  {value}" for name, value in rows.items()]


def _rate(numbers: Statistics) -> str:
    return f"{numbers.rate_per_s:.3g} /s" if numbers.duration_s else "all at once"


def _lengths(numbers: LengthStatistics) -> str:
    return (
        f"mean {numbers.mean:,.1f}, p50 {numbers.p50:,.0f}, p99 {numbers.p99:,.0f}, "
        f"most {numbers.most:,}"
    )


def _percents(shares: tuple[float, ...]) -> str:
    shown = ", ".join(f"{share:.1%}" for share in shares[:SHOWN_SHARES])
    left = len(shares) - SHOWN_SHARES
    return f"{shown} and {left} more" if left > 0 else shown


def _relations(numbers: Statistics) -> dict[str, str]:
    """What there is of prefixes, sessions and priorities."""
    rows = {}
    if (shared := numbers.sharing) is not None:
        rows["prompt blocks"] = (
            f"{shared.blocks:,} of {shared.block_tokens} tokens, "
            f"{shared.unique_blocks:,} different"
        )
        rows["hits of an endless cache"] = (
            f"{shared.hit_blocks:.1%} of blocks, {shared.hit_tokens:.1%} of tokens"
        )
    if (loops := numbers.sessions) is not None:
        rows["sessions"] = f"{loops.sessions:,}, requests {_lengths(loops.requests)}"
        waits = {"for tools": loops.tool_wait_s, "for people": loops.think_s}
        rows["waits"] = f"{loops.tool_share:.1%} for tools; " + "; ".join(
            f"{whom} p50 {p50:,.0f} s, p99 {p99:,.0f} s"
            for whom, (p50, p99) in waits.items()
            if isfinite(p50)
        )
    if (levels := numbers.priorities) is not None:
        rows["priorities"] = (
            f"{levels.levels} levels, {levels.updates:,} updates every "
            f"{levels.period_s:g} s, of which {levels.stay:.0%} change nothing"
        )
    return rows


def _range(least: float, most: float) -> str:
    return f"{least:,.0f} to {most:,.0f}" if most > least else f"{least:,.0f}"


def _bars(histogram: Histogram) -> list[str]:
    edges, most = histogram.edges.tolist(), max(histogram.heights.tolist())
    labels = [f"from {edge:,.0f}" for edge in edges[:-1]]
    if histogram.is_log:
        labels = [_range(low, high - 1) for low, high in pairwise(edges)]
    numbers = [f"{height:,.3g}" for height in histogram.heights.tolist()]
    if most >= 1000:
        numbers = [f"{height:,.0f}" for height in histogram.heights.tolist()]
    width, digits = max(map(len, labels)), max(map(len, numbers))
    return [
        f"  {label:>{width}}  {number:>{digits}}  "
        + "#" * round(height / most * BAR_LETTERS)
        for label, number, height in zip(
            labels, numbers, histogram.heights.tolist(), strict=True
        )
    ]
