"""How near the simulator is to come to measured runs, and whether it does."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from evaluators.calibration.shapes import MODELS
from evaluators.serving_runs.comparison import Point

WITHIN = 0.9
"""Share of the points that must be within the wider band."""


class Target(NamedTuple):
    """A metric's median absolute error, and a band for nine points in ten or None.

    ``at_knee``: points near their limit count, too, as every request is known.
    """

    group: str
    metric: str
    median: float
    band: float | None
    at_knee: bool = False


class Verdict(NamedTuple):
    """What came of a target over ``points`` points; shares and errors are of 1."""

    target: Target
    points: int
    median: float
    within: float
    bias: float

    @property
    def is_met(self) -> bool:
        """Whether median and band hold."""
        if not self.points or self.median > self.target.median:
            return False
        return self.target.band is None or self.within >= WITHIN


OPEN, CLOSED, RECORDED = "open loop", "closed loop", "LLMServingSim's"

TARGETS = (
    Target(OPEN, "e2e_mean", 0.04, 0.10),
    Target(OPEN, "tpot_mean", 0.04, 0.10),
    Target(OPEN, "ttft_mean", 0.08, 0.20),
    Target(OPEN, "ttft_p90", 0.08, 0.20),
    Target(OPEN, "ttft_p99", 0.15, None),
    Target(CLOSED, "tpot_mean", 0.06, None),
    Target(RECORDED, "tpot_mean", 0.05, None, at_knee=True),
)


def is_asked(point: Point) -> bool:
    """Whether the targets are of such a point.

    They are of dense models on H100 and H200 in closed loops, of H100 in open ones, and
    of all of LLMServingSim's.
    """
    run, kind = point.run, group(point)
    if kind == RECORDED:
        return True
    if kind == OPEN:
        return run.gpu == "h100"
    is_dense = run.model in MODELS and MODELS[run.model].experts is None
    return is_dense and run.gpu in ("h100", "h200")


def group(point: Point) -> str:
    """Which targets a point is held to."""
    if point.run.concurrency is not None:
        return CLOSED
    return RECORDED if "requests.jsonl" in point.run.source else OPEN


def verdicts(points: Iterable[Point]) -> list[Verdict]:
    """A verdict on each target that any point counts for."""
    all_of = list(points)
    found = []
    for target in TARGETS:
        counted = gated(all_of, target)
        if not counted:
            continue
        errors = np.array([point.error(target.metric) for point in counted], float)
        band = target.band or np.inf
        found.append(
            Verdict(
                target,
                len(counted),
                float(np.median(np.abs(errors))),
                float(np.mean(np.abs(errors) <= band)),
                float(np.median(errors)),
            )
        )
    return found


def gated(points: Iterable[Point], target: Target) -> list[Point]:
    """The points that count for a target."""
    return [
        point
        for point in points
        if group(point) == target.group
        and is_asked(point)
        and point.is_gated(target.metric, target.at_knee)
        and point.error(target.metric) is not None
    ]
