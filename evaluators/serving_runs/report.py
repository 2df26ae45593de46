"""What validation found, as Markdown: errors, targets, rankings, and terms at fault."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from evaluators.serving_runs.comparison import Comparison, Point
from evaluators.serving_runs.measured import LeftOut
from evaluators.serving_runs.ranking import Pair, order
from evaluators.serving_runs.ranking_report import by_knob, rankings_text
from evaluators.serving_runs.tables import table
from evaluators.serving_runs.targets import Verdict, is_asked
from evaluators.serving_runs.targets_report import SHOWN, faults_text, targets_text


class Findings(NamedTuple):
    """All that is reported. ``noise`` is by metric: (relative difference, pairs)."""

    comparison: Comparison
    verdicts: Sequence[Verdict]
    pairs: Sequence[Pair]
    noise: Mapping[str, tuple[float, int]]
    left_out: Sequence[LeftOut]
    unknown: Sequence[str]


def markdown(found: Findings) -> str:
    """The whole report."""
    parts = (
        _split(found),
        targets_text(found.verdicts),
        faults_text(found.verdicts, found.comparison.points),
        rankings_text(found.pairs),
        _errors(found.comparison.points),
        _noise(found.noise),
        _left_out(found),
    )
    return "\n\n".join(part for part in parts if part)


def summary(found: Findings) -> dict[str, object]:
    """The numbers of the report, ready for JSON."""
    asked = [pair for pair in found.pairs if is_asked(pair.first)]
    ranked = {knob: order(pairs) for knob, pairs in by_knob(asked).items()}
    ranked["all"] = order(asked)
    return {
        "points": len(found.comparison.points),
        "host_s": found.comparison.host.seconds,
        "targets": [
            {
                **v.target._asdict(),
                "points": v.points,
                "error": v.median,
                "within": v.within,
                "bias": v.bias,
                "met": v.is_met,
            }
            for v in found.verdicts
        ],
        "rankings": {
            knob: {"pairs": o.pairs, "share": o.share, "tau": o.tau}
            for knob, o in ranked.items()
        },
        "errors": {
            point.name: {m: point.error(m) for m in sorted(point.stage.measured)}
            for point in found.comparison.points
        },
    }


def _split(found: Findings) -> str:
    host, points = found.comparison.host, found.comparison.points
    runs = {id(point.run): point.run for point in points}.values()
    fit = [run.name for run in runs if run.part == "fit"]
    return (
        "# Simulated against measured serving runs\n\n"
        f"{len(points)} points of {len(runs)} runs. One constant is fitted on serving "
        f"runs: {host.seconds * 1e3:.2f} ms of host time before a first token "
        f"({host.source}). Fitting rows among these: {', '.join(fit) or 'none'}; "
        "they count for no target. All other rows test."
    )


def _errors(points: Sequence[Point]) -> str:
    rows = []
    for point in points:
        cells = [
            "-" if (error := point.error(metric)) is None else f"{error:+.1%}"
            for metric in SHOWN
        ]
        running = f"{point.stage.running:.0f} / {point.running:.0f}"
        part = "fit" if point.run.part == "fit" else "test"
        flags = ", ".join(flag for flag in point.flags if flag != "fit")
        rows.append((point.name, part, point.calibration, running, *cells, flags))
    head = (
        "run",
        "row",
        "calibration",
        "running, measured / predicted",
        *SHOWN,
        "flags",
    )
    return (
        "## Errors\n\nPredicted over measured less one. knee: more than three quarters "
        "of the slots are in use, no claim; saturated: no claim; warm-up: the "
        "measured statistics hold the engine's first minute, no claim of mean and P99 "
        "TTFT; lockstep: engines that wait for each other, which is not simulated.\n\n"
        + table(head, rows)
    )


def _noise(noise: Mapping[str, tuple[float, int]]) -> str:
    rows = [
        (metric, f"{apart:.1%}", str(count)) for metric, (apart, count) in noise.items()
    ]
    if not rows:
        return ""
    head = ("metric", "nine in ten near-repeats differ by less than", "pairs")
    return "## Noise of the measurements\n\n" + table(head, rows)


def _left_out(found: Findings) -> str:
    reasons = Counter(
        each.why for each in (*found.left_out, *found.comparison.left_out)
    )
    rows = [(str(count), why) for why, count in reasons.most_common()]
    text = "## Left out\n\n" + table(("runs", "why"), rows) if rows else ""
    if found.unknown:
        names = ", ".join(sorted(set(found.unknown)))
        text += f"\n\nFiles in none of the formats: {names}."
    return text.strip()
