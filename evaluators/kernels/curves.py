"""Copy curves from the table of copies: what calibration files hold of a link."""

import json
from pathlib import Path

import numpy as np

from evaluators.calibration.copy_curve import CopyCurve
from evaluators.kernels import provenance
from evaluators.kernels.table import read_table

PS_PER_S = 1e12
FOLDER = "copy_curves"


def write(folder: Path) -> tuple[str, ...]:
    """A curve for each direction that was measured whole; returns their names.

    None is written where there is no table of copies, where fewer than two sizes were
    measured, or where noise hides that more bytes take longer.
    """
    path = folder / "copies.csv"
    if not path.exists() or len(path.read_text(encoding="utf-8").splitlines()) < 2:
        return ()
    table = read_table(path)
    who = provenance.read(folder)
    written = []
    for direction in np.unique(table["direction"]).tolist():
        of_it = (table["direction"] == direction) & (table["pieces"] == 1)
        sizes, seconds = table["bytes"][of_it], table["seconds_p50"][of_it]
        if len(sizes) < 2:
            continue
        order = np.argsort(sizes)
        try:
            curve = copy_curve(direction, _source(who), sizes[order], seconds[order])
        except ValueError:  # it shows no bandwidth; the table has the times
            continue
        (folder / FOLDER).mkdir(exist_ok=True)
        text = {
            "status": curve.status,
            "source": curve.source,
            "knots": [list(knot) for knot in curve.knots],
        }
        file = folder / FOLDER / f"{direction}.json"
        file.write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8")
        written.append(direction)
    return tuple(written)


def copy_curve(
    name: str, source: str, sizes: np.ndarray, seconds: np.ndarray
) -> CopyCurve:
    """The curve through measured medians, sizes ascending.

    A time that falls with the size, by the noise of a launch, is raised to the one
    before; what no size takes less than is the launch.
    """
    times = np.maximum.accumulate(np.rint(seconds * PS_PER_S).astype(np.int64))
    if times[-1] == times[-2]:
        raise ValueError(
            f"copies {name}: the two largest take equal time; measure larger ones"
        )
    pairs = zip(sizes.tolist(), times.tolist(), strict=True)
    return CopyCurve(name, "measured", source, ((0, int(times[0])), *pairs))


def _source(who: provenance.Provenance) -> str:
    return (
        f"measured here with torch {who.torch} on {who.device} ({who.date[:10]}), "
        f"pinned host memory on a GPU, median of {who.repeats}"
    )
