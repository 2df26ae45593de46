"""Whether the simulator orders alternatives as the real engine did."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

from evaluators.serving_runs.comparison import Point
from evaluators.serving_runs.noise import IDLE_KNOBS, floor

RANKED = ("e2e_mean", "tpot_mean", "ttft_mean")
"""What is ranked."""


class Pair(NamedTuple):
    """Two points that differ in one knob; ratios are of the second to the first."""

    knob: str
    metric: str
    first: Point
    second: Point
    measured: float
    predicted: float

    @property
    def is_right(self) -> bool:
        """Whether both say the same of which is larger."""
        return (self.measured > 1) == (self.predicted > 1) and self.predicted != 1

    @property
    def is_tie(self) -> bool:
        """Whether the simulator sees no difference at all."""
        return self.predicted == 1


class Order(NamedTuple):
    """How well pairs are ordered. ``share`` is of all, a tie counting as wrong.

    ``tau`` is Kendall's: right less wrong pairs, over all of them.
    """

    pairs: int
    right: int
    ties: int

    @property
    def share(self) -> float:
        """Of the pairs, those ordered right."""
        return self.right / self.pairs if self.pairs else 0.0

    @property
    def tau(self) -> float:
        """Kendall's tau."""
        wrong = self.pairs - self.right - self.ties
        return (self.right - wrong) / self.pairs if self.pairs else 0.0


def order(pairs: Iterable[Pair]) -> Order:
    """Counts over pairs."""
    all_of = list(pairs)
    right = sum(pair.is_right for pair in all_of)
    return Order(len(all_of), right, sum(pair.is_tie for pair in all_of))


def pairs(
    points: Iterable[Point], known: Mapping[str, tuple[float, int]]
) -> list[Pair]:
    """Pairs of points that differ in one knob, and measurably so.

    Model, GPU, widths and workload are the same. A pair counts for a metric where the
    measured values differ by more than near-repeats do (``noise``), and both points may
    be claimed for it; settings by which near-repeats differ are no knobs. Runs on which
    the host constant was fitted count, too, as it is the same in both.
    """
    groups: dict[object, list[Point]] = {}
    for point in points:
        groups.setdefault(_alike(point), []).append(point)
    found: list[Pair] = []
    for group in groups.values():
        for one, other in combinations(group, 2):
            found += _pairs_of(one, other, known)
    return found


def knobs(point: Point) -> dict[str, object]:
    """What an operator may turn, by name.

    A closed loop's slots are its users: its load is the one knob for both.
    """
    run, limits = point.run, point.run.limits
    found: dict[str, object] = {
        "rate": point.stage.load,
        "tp": run.tp,
        "batch tokens": limits.max_step_tokens,
        "cache": limits.prefix_caching,
    }
    if run.concurrency is None:
        found["batch limit"] = limits.max_running
    return found | dict(run.knobs)


def _pairs_of(
    one: Point, other: Point, known: Mapping[str, tuple[float, int]]
) -> Iterator[Pair]:
    own, its = knobs(one), knobs(other)
    differing = [k for k in own.keys() | its.keys() if own.get(k) != its.get(k)]
    if len(differing) != 1 or differing[0] in IDLE_KNOBS:
        return
    for metric in RANKED:
        if not (_counts(one, metric) and _counts(other, metric)):
            continue
        measured = other.stage.measured[metric] / one.stage.measured[metric]
        if max(measured, 1 / measured) > 1 + floor(known, metric):
            predicted = other.predicted[metric] / one.predicted[metric]
            yield Pair(differing[0], metric, one, other, measured, predicted)


def _counts(point: Point, metric: str) -> bool:
    if point.error(metric) is None or "saturated" in point.flags:
        return False
    return not ("knee" in point.flags and metric.startswith("ttft"))


def _alike(point: Point) -> tuple[object, ...]:
    run = point.run
    is_open = run.concurrency is None
    return (run.model, run.gpu, run.bits, run.kv_bits, run.workload, is_open)
