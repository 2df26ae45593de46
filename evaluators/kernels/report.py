"""What a folder of tables holds, in lines: rows, ceilings, spread, what was refused."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np

from evaluators.kernels import provenance
from evaluators.kernels.rates import rate
from evaluators.kernels.table import read_table

SKIPPED = (provenance.READINGS, "refused.csv")


def report(folder: Path) -> list[str]:
    """Lines to print after a measurement."""
    who = provenance.read(folder)
    lines = [
        f"{who.device}, {who.dtype}, {who.model}, torch {who.torch}, driver "
        f"{who.driver}, {who.date}",
        *(
            f"{name}: {low:g} / {middle:g} / {high:g} (least, median, most)"
            for name, (low, middle, high) in who.gauges.items()
        ),
        "",
        f"{'table':<20} {'sizes':>5} {'spread p90/p10':>15} {'worst error':>12}",
    ]
    for path in sorted(folder.glob("*.csv")):
        if path.name not in SKIPPED:
            lines.append(_line(path))
    return [*lines, *_ceilings(folder), *_refused(folder)]


def _line(path: Path) -> str:
    if len(path.read_text(encoding="utf-8").splitlines()) < 2:
        return f"{path.stem:<20} {0:>5}"
    table = read_table(path)
    ratio = np.median(table["seconds_p90"] / table["seconds_p10"])
    worst = float(np.max(table["max_error"]))
    n_rows = len(table["seconds_p50"])
    return f"{path.stem:<20} {n_rows:>5} {ratio:>15.3f} {worst:>12.2g}"


def _ceilings(folder: Path) -> list[str]:
    path = folder / "ceilings.csv"
    if not path.exists() or len(path.read_text(encoding="utf-8").splitlines()) < 2:
        return []
    table = read_table(path)
    rows = zip(table["what"], table["size"], table["seconds_p50"], strict=True)
    found = [(what, *rate(str(what), float(n), float(s))) for what, n, s in rows]
    return ["", *(f"ceiling {what}: {value:.4g} {unit}" for what, value, unit in found)]


def _refused(folder: Path) -> list[str]:
    path = folder / "refused.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    counts = Counter((row["operation"], row["reason"][:90]) for row in rows)
    return [
        "",
        *(f"not timed: {name} x{n}: {why}" for (name, why), n in counts.items()),
    ]
