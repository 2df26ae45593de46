"""Measured runs of a place, replayed and judged."""

from pathlib import Path

from evaluators.serving_runs.comparison import compared
from evaluators.serving_runs.compositions import Finding
from evaluators.serving_runs.measured import MeasuredRun
from evaluators.serving_runs.noise import noise
from evaluators.serving_runs.ranking import pairs
from evaluators.serving_runs.reader import Collection, collected
from evaluators.serving_runs.readers import blis
from evaluators.serving_runs.report import Findings
from evaluators.serving_runs.targets import verdicts

PUBLIC = Path("gpu/e2e")
"""Where measured runs lie in the folder of public data."""


def validated(place: Path, find: Finding, data: Path | None = None) -> Findings:
    """What the runs of a file or folder say of the simulator.

    ``find`` gives the calibration of a run. ``data`` is the folder of public data,
    where the runs lie that the host constant is fitted on; without them it is what an
    earlier fit gave. Raises ``FileNotFoundError`` or ``ValueError`` in one line where
    there are no runs, or none that a calibration fits.
    """
    found = collected(place)
    comparison = compared(found.runs, find, fitting_runs(found, data))
    if not comparison.points:
        left_out = (*comparison.left_out, *found.left_out)
        raise ValueError(
            f"none of the {len(left_out)} measured runs of {place} can be replayed; "
            f"the first, {left_out[0].name}: {left_out[0].why}"
        )
    spread = noise(found.runs)
    return Findings(
        comparison=comparison,
        verdicts=verdicts(comparison.points),
        pairs=pairs(comparison.points, spread),
        noise=spread,
        left_out=found.left_out,
        unknown=found.unknown,
    )


def fitting_runs(found: Collection, data: Path | None) -> tuple[MeasuredRun, ...]:
    """The runs that the host constant is fitted on: of these, or of the public data."""
    own = tuple(run for run in found.runs if run.part == "fit")
    folder = data / PUBLIC if data else None
    if own or folder is None or not folder.is_dir():
        return own
    files = [path for path in sorted(folder.glob("*.parquet")) if blis.recognises(path)]
    runs = (run for path in files for run in blis.read(path).runs)
    return tuple(run for run in runs if run.part == "fit")
