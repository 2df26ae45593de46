"""Fit a calibration to measured tables; print its errors, write and draw it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from adrs.scatter import svg
from adrs.terminal import say
from adrs.whole_file import write_whole
from adrs.writable import writing
from evaluators.calibration.calibration import parse
from evaluators.calibration.calibration_file import as_text
from evaluators.calibration.composed import Composed
from evaluators.calibration.held_out import ShapeError, table_of
from evaluators.calibration.importers import importer
from evaluators.calibration.importers.asked import Asked, check_answer
from evaluators.calibration.records import Calibration
from evaluators.calibration.samples import PS_PER_S

RUNS = Path("runs")
MS = 1e3


class CalibrateSettings(Protocol):
    """What this command reads of the configuration."""

    source: str
    gpu: str
    model: str
    tp: int
    weights: str
    engine: str
    cached: str
    folder: str | None
    data: str | None
    output: str | None
    plot: str | None
    format: str


def run(settings: CalibrateSettings) -> int:
    """Write the calibration, print its errors by regime and shape, and draw it.

    Raises ``ValueError`` or ``OSError`` with one line when the source lacks what is
    asked, a table is not what it should be, or nothing can be written.
    """
    source = importer(settings.source)
    asked = Asked(
        settings.gpu,
        settings.model,
        settings.tp,
        settings.weights,
        settings.engine,
        settings.cached,
    )
    folder = _folder(settings, source.FOLDER)
    made = source.calibration(folder, asked)
    check_answer(asked, made.content, getattr(source, "ENGINES", ()))
    text = as_text(made.content)
    name = _name(settings)
    calibration = parse(name, text)
    shapes = list(getattr(source, "shape_errors", lambda *_: [])(folder, asked))
    path = Path(settings.output or RUNS / f"{name}.json").expanduser()
    with writing(path, "output=FILE"):
        write_whole(path, text)
    plot = _drawn(calibration, made, settings.plot) if made.steps else None
    if settings.format == "json":
        say(_as_json(calibration, shapes, path, plot))
        return 0
    say("\n".join(_told(calibration, shapes)))
    say(f"\ncalibration: {path}" + (f"\nplot: {plot}" if plot else ""))
    return 0


def _folder(settings: CalibrateSettings, inside: str) -> Path | None:
    """Where the source's tables lie; None asks the source for what is installed."""
    if settings.folder:
        return Path(settings.folder).expanduser()
    if settings.data and (Path(settings.data).expanduser() / inside).is_dir():
        return Path(settings.data).expanduser() / inside
    return None


def _name(settings: CalibrateSettings) -> str:
    if settings.output:
        return Path(settings.output).stem
    model = "".join(c if c.isalnum() else "_" for c in Path(settings.model).name)
    parts = [model, f"tp{settings.tp}", settings.gpu, settings.weights]
    return "calibration-" + "-".join([*parts, settings.source])


def _told(calibration: Calibration, shapes: list[ShapeError]) -> list[str]:
    where = f"{calibration.tp} x {calibration.gpu}"
    lines = [
        f"{calibration.model} ({calibration.dtype}) on {where}, {calibration.engine}",
        f"from {calibration.provenance.who}",
        f"KV blocks: {calibration.kv_blocks}, {calibration.kv_source}",
        "",
        f"error of a step: {calibration.error.reference}",
        *(
            f"  {regime:<42} {median:6.1%} {high:6.1%}"
            for regime, (median, high) in calibration.error.regimes.items()
        ),
    ]
    if shapes:
        lines += ["", "error of a kernel on shapes left out (median, 90th percentile)"]
        lines += [f"  {line}" for line in table_of(shapes)]
    lines += ["", "assumed:", *(f"  - {text}" for text in calibration.assumptions)]
    return lines


def _drawn(calibration: Calibration, made: Composed, asked: str | None) -> Path:
    """Draw predicted against measured steps and say where."""
    path = Path(asked).expanduser() if asked else RUNS / f"{calibration.name}.svg"
    times = calibration.step_time
    panels = {
        regime: (samples.seconds * MS, samples.predicted_s(times) * MS)
        for regime, samples in made.steps.items()
    }
    title = f"{calibration.model} on {calibration.tp} x {calibration.gpu}: steps"
    with writing(path, "plot=FILE"):
        write_whole(path, svg(title, panels, "ms"))
    return path


def _as_json(
    calibration: Calibration, shapes: list[ShapeError], path: Path, plot: Path | None
) -> str:
    longest_ps = max(calibration.step_time.tokens_ps)
    told = {
        "calibration": str(path),
        "plot": str(plot) if plot else None,
        "model": calibration.model,
        "gpu": calibration.gpu,
        "largest_step_s": longest_ps / PS_PER_S,
        "regimes": calibration.error.regimes,
        "shapes": [asdict(shape) for shape in shapes],
        "assumptions": calibration.assumptions,
    }
    return json.dumps(told, indent=2)
