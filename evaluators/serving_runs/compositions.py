"""Calibrations that are not shipped, composed from kernel tables where these are."""

import json
from collections.abc import Callable
from pathlib import Path

from evaluators.calibration.calibration import Calibration, parse
from evaluators.calibration.importers import aic
from evaluators.calibration.importers.asked import Asked
from evaluators.calibration.shapes import MODELS
from evaluators.serving_runs.measured import MeasuredRun, gpu_key

TYPES = {16: "bfloat16", 8: "fp8"}
"""Types that the tables hold, of weights and of cached numbers, by their bits."""

Finding = Callable[[MeasuredRun], Calibration | None]
"""Gives the calibration of a run, or None where there is none."""


def nothing(run: MeasuredRun) -> None:
    """Composes no calibration of any run."""


def composing(data: Path) -> Finding:
    """What composes a run's calibration from the tables of a folder of public data.

    It gives None where they do not hold what the run needs, each answer once a model,
    GPU, ranks and widths. Raises ``ValueError`` where pyarrow is missing.
    """
    folder = data / aic.FOLDER
    if not folder.is_dir():
        return nothing
    known: dict[tuple[object, ...], Calibration | None] = {}

    def compose(run: MeasuredRun) -> Calibration | None:
        key = (run.model, run.gpu, run.tp, run.bits, run.kv_bits)
        if key not in known:
            known[key] = _composed(run, folder)
        return known[key]

    return compose


def _composed(run: MeasuredRun, folder: Path) -> Calibration | None:
    systems = [name for name, s in aic.SYSTEMS.items() if gpu_key(s.gpu) == run.gpu]
    there = [name for name in systems if (folder / name).is_dir()]
    weights, cached = TYPES.get(run.bits), TYPES.get(run.kv_bits)
    if (
        run.engines > 1
        or not there
        or not weights
        or not cached
        or run.model not in MODELS
    ):
        return None
    asked = Asked(there[0], run.model, run.tp, weights, cached=cached)
    try:
        content = aic.calibration(folder, asked).content
    except ValueError:  # what it needs is not in the tables, or does not fit the GPUs
        return None
    name = f"composed {run.model} {run.gpu} tp{run.tp} {run.bits}/{run.kv_bits} bits"
    return parse(name, json.dumps(content))
