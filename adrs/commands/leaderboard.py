"""Show the best policies of all campaigns."""

import json
from itertools import groupby
from pathlib import Path

from adrs import browse, leaderboard
from adrs.leaderboard import Row
from adrs.settings import Settings
from adrs.terminal import red, say
from evaluators.problems import load

HEAD = (
    "rank",
    "candidate",
    "arm",
    "train",
    "validation",
    "gap",
    "gain over best seed [95 %]",
    "bound ratio",
    "kernel error",
    "isolation",
    "calibration",
    "idea",
)


def run(settings: Settings) -> int:
    """Print the table and where to browse it; 0 even when there is nothing yet."""
    runs = Path("runs")
    problem = load(settings.problem).name
    rows = leaderboard.rows(runs, problem)
    if settings.format == "json":
        facts = [{**row._asdict(), "gain": row.gain._asdict()} for row in rows]
        say(json.dumps({"rows": facts, "url": _url(runs, settings)}, indent=2))
        return 0
    if not rows:
        say(f"no finished campaign under {runs.resolve()}; start one: adrs evolve")
        return 0
    for exams, group in groupby(rows, key=lambda row: row.exams):
        say(f"{exams}\n{_table(list(group))}\n")
    address = _url(runs, settings)
    if address is not None:
        say(f"{browse.command(runs)}\nthen open {address}")
    return 0


def _table(rows: list[Row]) -> str:
    """Markdown, so that it can be pasted as it is; what has no rank is red."""
    lines = [HEAD, *map(_cells, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    lines.insert(1, tuple("-" * width for width in widths))
    padded = (map(str.ljust, line, widths) for line in lines)
    written = [f"| {' | '.join(line)} |" for line in padded]
    for number, row in enumerate(rows, start=2):
        if not row.is_strict:
            written[number] = red(written[number])
    return "\n".join(written)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        str(row.rank or "-"),
        row.candidate[:8],
        row.arm,
        f"{row.train:.4f}",
        f"{row.validation:.4f}",
        f"{row.gap:+.4f}" + (" ALARM" if row.alarm else ""),
        str(row.gain),
        f"{row.bound_ratio:.4f}",
        _kernel_error(row),
        row.isolation,
        row.calibration,
        row.idea.replace("|", "/"),
    )


def _kernel_error(row: Row) -> str:
    if row.kernel_error is None:
        return "-"
    return f"{row.kernel_error:.1%}" + (" HIDES THE GAIN" if row.within_error else "")


def _url(runs: Path, settings: Settings) -> str | None:
    """Address of the MLflow table, if a campaign was ever tracked here."""
    experiment = browse.experiment_id(runs, settings.problem)
    return None if experiment is None else browse.url(experiment)
