"""One call of the command: a device, a grid, tables, who measured, and a report."""

import argparse
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from evaluators.calibration.shapes import MODELS
from evaluators.kernels import curves, gauges, grid, measuring, predicted, provenance
from evaluators.kernels.bench import Bench, Effort, bench, has_triton
from evaluators.kernels.grid import Grid
from evaluators.kernels.provenance import Provenance
from evaluators.kernels.report import report

EFFORTS = {
    "small": Effort(3, 5, 0.01),
    "cpu": Effort(5, 60, 0.25),
    "cuda": Effort(10, 100, 0.1),
}
DEFAULT_MODEL = {"cpu": "tiny-llama", "cuda": "llama-3.1-8b"}


def run(
    options: argparse.Namespace, command: str, tell: Callable[[str], None]
) -> list[str]:
    """Measure into ``options.out``; returns the lines of the report.

    Raises ``ValueError`` for a device that is not here, an unknown operation, or a
    folder whose tables are of another set-up.
    """
    only = [name for name in options.only.split(",") if name]
    measuring.chosen(only)
    effort = EFFORTS["small" if options.small else options.device]
    made = bench(options.device, effort, is_wall=options.wall, seed=options.seed)
    sizes = _grid(options)
    folder: Path = options.out
    who = _provenance(made, sizes, effort, command, is_wall=options.wall)
    provenance.check_same(folder, who)
    provenance.write(folder, who)
    seconds = 60.0 * options.minutes
    readings = folder / provenance.READINGS
    try:
        with gauges.watched(readings, is_gpu=options.device == "cuda"):
            n = measuring.run(made, sizes, folder, only, seconds, tell)
    finally:
        shown = gauges.summed_up(readings)
        provenance.write(folder, replace(who, gauges=shown))
    tell(f"{n} sizes measured into {folder}")
    curves.write(folder)
    return [*report(folder), "", *predicted.lines(folder)]


def _grid(options: argparse.Namespace) -> Grid:
    if options.small:
        return grid.small()
    name = options.model or DEFAULT_MODEL[options.device]
    made = grid.cpu if options.device == "cpu" else grid.cuda
    return made(MODELS[name])


def _provenance(
    made: Bench, sizes: Grid, effort: Effort, command: str, *, is_wall: bool
) -> Provenance:
    is_gpu = made.kind == "cuda"
    seen = torch.cuda.get_device_properties(made.device) if is_gpu else None
    cpu_clock = "wall time" if is_wall else "CPU time of the process"
    return Provenance(
        kind=made.kind,
        device=seen.name if seen else provenance.processor(),
        dtype=str(made.dtype).removeprefix("torch."),
        model=sizes.model.name,
        clock="device events" if seen else cpu_clock,
        threads=None if seen else torch.get_num_threads(),
        torch=torch.__version__,
        triton=_triton() if seen else None,
        cuda=torch.version.cuda,
        driver=gauges.driver() if seen else None,
        memory_bytes=seen.total_memory if seen else None,
        units=seen.multi_processor_count if seen else None,
        python=platform.python_version(),
        date=provenance.today(),
        commit=provenance.commit(),
        command=command,
        repeats=_repeats(effort),
        gauges={},
        notes=tuple(_notes(made)),
    )


def _repeats(effort: Effort) -> str:
    return (
        f"{effort.least} to {effort.most}, {effort.seconds} s where possible, after "
        "warming up each input"
    )


def _notes(made: Bench) -> Sequence[str]:
    if made.kind == "cpu":
        return (
            "one thread; no device copies, no CUDA graphs, no sharing of a device",
            "inputs rotate through 64 MB, more than the caches of a core",
        )
    return (
        "a buffer of several L2 sizes is written before every repetition: weights and "
        "activations come from memory",
        "MPS is not measured: it needs a daemon; clocks are those found, none is set",
    )


def _triton() -> str | None:
    if not has_triton():
        return None
    import triton  # noqa: PLC0415 (optional)

    return str(triton.__version__)
