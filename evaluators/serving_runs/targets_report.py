"""The targets that are met or missed, and where the missed ones point to."""

from collections.abc import Sequence

from evaluators.serving_runs.blame import blamed
from evaluators.serving_runs.comparison import Point
from evaluators.serving_runs.tables import table
from evaluators.serving_runs.targets import WITHIN, Verdict, gated

SHOWN = ("e2e_mean", "tpot_mean", "ttft_mean", "ttft_p50", "ttft_p90", "ttft_p99")


def targets_text(verdicts: Sequence[Verdict]) -> str:
    """What each target asks, and what came of it."""
    rows = [
        (
            v.target.group,
            v.target.metric,
            str(v.points),
            f"{v.median:.1%}",
            f"{v.bias:+.1%}",
            f"{v.target.median:.0%}",
            "-" if v.target.band is None else f"{v.within:.0%} (of {WITHIN:.0%})",
            "-" if v.target.band is None else f"{v.target.band:.0%}",
            _verdict(v),
        )
        for v in verdicts
    ]
    head = (
        *("runs", "metric", "points", "median error", "bias", "target"),
        *("within band", "band", ""),
    )
    return "## Targets\n\n" + table(head, rows) if rows else ""


def _verdict(v: Verdict) -> str:
    if v.is_met:
        return "met"
    over = v.median - v.target.median
    if over > 0:
        return f"missed by {over:.1%}"
    return f"band missed by {WITHIN - v.within:.0%} of the points"


def faults_text(verdicts: Sequence[Verdict], all_points: Sequence[Point]) -> str:
    """Terms to blame for each missed target that the time of a token decides."""
    rows = []
    for verdict in verdicts:
        if verdict.is_met:
            continue
        points = gated(all_points, verdict.target)
        blame = blamed(points, "tpot_mean")
        if blame is None:
            continue
        scales = [
            f"{t} {blame.scales[t]:.2f} ({blame.shares[t]:.0%})" for t in blame.scales
        ]
        worst = max(points, key=lambda p: abs(p.error(verdict.target.metric) or 0.0))
        rows.append((
            f"{verdict.target.group}, {verdict.target.metric}",
            blame.fault,
            ", ".join(scales),
            f"{blame.before:.1%} to {blame.after:.1%}",
            f"{worst.name} {worst.error(verdict.target.metric) or 0.0:+.0%}",
        ))
    if not rows:
        return ""
    head = (
        *("missed", "term at fault", "scales that would fit (share of time)"),
        *("error of a token's time if scaled", "worst point"),
    )
    return (
        "## Where it is missed\n\n"
        + table(head, rows)
        + _REGIMES
        + _by_regime(all_points)
    )


_REGIMES = (
    "\n\nScales say where to look; nothing is scaled by them. Signed errors by regime "
    "(median of the points that count):\n\n"
)


def _by_regime(points: Sequence[Point]) -> str:
    """Signed errors by who serves, and by the number of running requests."""
    cells: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        if not {"fit", "saturated"} & set(point.flags):
            cells.setdefault((point.calibration, _bucket(point)), []).append(point)
    rows = []
    for (calibration, bucket), points in sorted(cells.items()):
        medians = [_median_error(points, metric) for metric in SHOWN]
        rows.append((calibration, bucket, str(len(points)), *medians))
    return table(("calibration", "running", "points", *SHOWN), rows)


def _bucket(point: Point) -> str:
    for most in (8, 16, 32, 64, 128, 256):
        if point.running <= most:
            return f"{most // 2:03d}-{most:03d}" if most > 8 else "000-008"
    return "more"


def _median_error(points: Sequence[Point], metric: str) -> str:
    errors = sorted(
        error
        for p in points
        if (error := p.error(metric)) is not None and p.is_gated(metric)
    )
    return f"{errors[len(errors) // 2]:+.1%}" if errors else "-"
