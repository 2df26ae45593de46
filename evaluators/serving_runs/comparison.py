"""Measured against predicted: a point for each stage, and what may be claimed of it."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from evaluators.calibration.calibration import Calibration
from evaluators.serving_runs.host import Host, fitted
from evaluators.serving_runs.measured import (
    LeftOut,
    MeasuredRun,
    Stage,
    is_knee,
    is_saturated,
)
from evaluators.serving_runs.replay import Predicted, replayed
from evaluators.sim.compiled.coverage import CORE, WORTHWHILE, is_installed

HOSTED = ("ttft", "e2e")
"""Latencies that hold the host's time before the first token."""

WARM = ("ttft_mean", "ttft_p99", "e2e_p99")
"""Statistics that a few slow requests of an engine's first minute decide."""


@dataclass(frozen=True, slots=True)
class Point:
    """One stage of a run, measured and predicted, seconds by names of ``METRICS``."""

    run: MeasuredRun
    stage: Stage
    predicted: Mapping[str, float]
    running: float
    shares: Mapping[str, float]
    calibration: str

    @property
    def name(self) -> str:
        """The run's, and the stage's where it has several."""
        if len(self.run.stages) < 2:
            return self.run.name
        return f"{self.run.name} {self.stage.name}"

    @property
    def flags(self) -> tuple[str, ...]:
        """Why not everything is claimed of this point."""
        found = {
            "fit": self.run.part == "fit",
            "saturated": is_saturated(self.run, self.stage),
            "knee": is_knee(self.run, self.stage),
            "warm-up": self.stage.holds_warm_up,
            "lockstep": self.run.engines > 1,
        }
        return tuple(flag for flag, holds in found.items() if holds)

    def error(self, metric: str) -> float | None:
        """Predicted over measured less 1; None where it was not measured."""
        measured = self.stage.measured.get(metric)
        if not measured or metric not in self.predicted:
            return None
        return self.predicted[metric] / measured - 1

    def is_gated(self, metric: str, at_knee: bool = False) -> bool:
        """Whether the point counts for a metric's target, perhaps at its knee, too."""
        barred = {"fit", "saturated", "lockstep"}
        if not at_knee:
            barred.add("knee")
        if barred & set(self.flags):
            return False
        return not (self.stage.holds_warm_up and metric in WARM)


class Comparison(NamedTuple):
    """All points, the host constant they hold, and the runs without a calibration."""

    points: tuple[Point, ...]
    host: Host
    left_out: tuple[LeftOut, ...]


def compared(
    runs: Iterable[MeasuredRun],
    calibrated: Callable[[MeasuredRun], Calibration | None],
    fitting: Iterable[MeasuredRun] = (),
) -> Comparison:
    """Every run that has a calibration, replayed; the host constant is fitted first.

    ``fitting`` are the runs that it is fitted on, whether they are among the others or
    not. Raises what the simulator raises.
    """
    pairs = [(run, calibrated(run)) for run in runs]
    left_out = tuple(
        LeftOut(run.name, f"no calibration of {_wanted(run)}")
        for run, found in pairs
        if found is None
    )
    served = [(run, found) for run, found in pairs if found is not None]
    _ready(sum(len(run.trace) for run, _ in served))
    replays = _replays(served)
    own = {id(run) for run, _ in served}
    others = [(run, calibrated(run)) for run in fitting]
    more = _replays([(r, c) for r, c in others if c is not None and id(r) not in own])
    host = fitted(_gaps_s([*replays, *more]))
    points = [
        _point(run, stage, one, host, found.name)
        for run, found, stages in replays
        for stage, one in zip(run.stages, stages, strict=True)
    ]
    return Comparison(tuple(points), host, left_out)


Replays = list[tuple[MeasuredRun, Calibration, tuple[Predicted, ...]]]


def _replays(served: list[tuple[MeasuredRun, Calibration]]) -> Replays:
    """Each run replayed once, though several may have been sent the same."""
    done: dict[object, tuple[Predicted, ...]] = {}
    found: Replays = []
    for run, calibration in served:
        cuts = tuple((s.first, s.last, s.cut_s) for s in run.stages)
        key = (id(run.trace), run.limits, run.sampling, calibration.name, cuts)
        if key not in done:
            done[key] = replayed(run, calibration)
        found.append((run, calibration, done[key]))
    return found


def _gaps_s(replays: Replays) -> list[float]:
    return [
        stage.measured["ttft_p50"] - one.latencies["ttft_p50"]
        for run, _, stages in replays
        if run.part == "fit"
        for stage, one in zip(run.stages, stages, strict=True)
        if "ttft_p50" in stage.measured
    ]


def _point(
    run: MeasuredRun, stage: Stage, one: Predicted, host: Host, calibration: str
) -> Point:
    latencies = {
        metric: seconds + host.seconds * metric.startswith(HOSTED)
        for metric, seconds in one.latencies.items()
    }
    return Point(run, stage, latencies, one.running, one.shares, calibration)


def _wanted(run: MeasuredRun) -> str:
    ranks = f", {run.tp} ranks" if run.tp > 1 else ""
    return f"{run.model} on {run.gpu}{ranks}, {run.bits} bits, KV {run.kv_bits} bits"


def _ready(requests: int) -> None:
    """Load the compiled engine once where that pays over all runs."""
    if requests >= WORTHWHILE and is_installed():
        importlib.import_module(CORE)
