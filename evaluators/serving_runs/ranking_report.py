"""How the simulator orders alternatives, as text."""

from collections.abc import Sequence

from evaluators.serving_runs.ranking import Pair, order
from evaluators.serving_runs.tables import table
from evaluators.serving_runs.targets import group, is_asked

RANKED = 0.9
"""Share and tau that rankings are to reach."""

MOST_WRONG = 20


def rankings_text(pairs: Sequence[Pair]) -> str:
    """Share ordered right and Kendall's tau by knob, and the pairs ordered wrong."""
    if not pairs:
        return ""
    asked = [pair for pair in pairs if is_asked(pair.first)]
    others = [pair for pair in pairs if not is_asked(pair.first)]
    kinds = [*by_knob(asked).items(), ("all of these", asked)]
    rows = [_row(kind, of_kind) for kind, of_kind in kinds if of_kind]
    if others:
        rows.append(_row("on GPUs and models without a target", others))
    head = (
        "knob, metric",
        "pairs",
        "ordered right",
        "Kendall's tau",
        "wrong",
        "ties",
        "",
    )
    text = (
        "## Rankings\n\nPairs of runs of one model, GPU and workload that differ in "
        "one knob, and in the metric by more than near-repeats do. Target: "
        f"{RANKED} for both.\n\n" + table(head, rows)
    )
    return text + _wrong(asked)


def _row(kind: str, pairs: Sequence[Pair]) -> tuple[str, ...]:
    found = order(pairs)
    wrong = found.pairs - found.right - found.ties
    is_met = found.share >= RANKED and found.tau >= RANKED
    return (
        kind,
        str(found.pairs),
        f"{found.share:.1%}",
        f"{found.tau:+.3f}",
        str(wrong),
        str(found.ties),
        "met" if is_met else "missed",
    )


def by_knob(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Pairs by kind of load, knob and metric."""
    found: dict[str, list[Pair]] = {}
    for pair in sorted(pairs, key=lambda p: (group(p.first), p.knob, p.metric)):
        kind = group(pair.first)
        found.setdefault(f"{kind}: {pair.knob}, {pair.metric}", []).append(pair)
    return found


def _wrong(pairs: Sequence[Pair]) -> str:
    wrong = [pair for pair in pairs if not pair.is_right]
    if not wrong:
        return ""
    wrong.sort(key=lambda pair: -max(pair.measured, 1 / pair.measured))
    rows = [
        (
            pair.knob,
            pair.metric,
            pair.first.name,
            pair.second.name,
            f"{pair.measured:.3f}",
            f"{pair.predicted:.3f}",
        )
        for pair in wrong[:MOST_WRONG]
    ]
    head = ("knob", "metric", "first", "second", "measured ratio", "predicted ratio")
    return (
        f"\n\nOrdered wrong, largest differences first ({len(wrong)} in all):\n\n"
        + (table(head, rows))
    )
