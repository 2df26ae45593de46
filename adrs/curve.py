"""How a campaign went, as points to draw, which grow with it and never change.

Whether a step is a point depends on what came before it alone: the points of a campaign
under way are among those of its end.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from adrs.history import Row

DENSE = 100
"""Steps that are all drawn; from there on half as many of each next doubling."""


class Curve:
    """Points of the trials it took, by metric and step.

    By number of evaluations: ``best_train`` so far and ``valid_share``. By round, at
    its end: ``trials`` and ``failures`` until then.
    """

    def __init__(self) -> None:
        self._best = 0.0
        self._trials = 0
        self._failures = 0
        self._round = 0
        self._points: dict[str, dict[int, float]] = defaultdict(dict)

    @property
    def points(self) -> Mapping[str, Mapping[int, float]]:
        """Those that were not told yet."""
        return self._points

    def take(self, rows: Iterable[Row]) -> None:
        """Go on with these trials, which follow those before in the journal."""
        for row in rows:
            if row.round != self._round:
                self._end_round(is_last=False)
                self._round = row.round
            improves = row.score > self._best and row.dropped is None
            self._best = row.score if improves else self._best
            self._trials += 1
            self._failures += row.failure is not None
            if improves or _is_drawn(self._trials):
                self._draw_trial()

    def end(self) -> None:
        """The campaign ended with these: the last of each is a point."""
        if self._trials:
            self._draw_trial()
            self._end_round(is_last=True)

    def told(self) -> None:
        """Forget the points so far, as somebody has them."""
        self._points = defaultdict(dict)

    def _draw_trial(self) -> None:
        valid = self._trials - self._failures
        self._points["best_train"][self._trials] = self._best
        self._points["valid_share"][self._trials] = valid / self._trials

    def _end_round(self, *, is_last: bool) -> None:
        if is_last or _is_drawn(self._round):
            self._points["trials"][self._round] = self._trials
            self._points["failures"][self._round] = self._failures


def whole(rows: Iterable[Row]) -> Mapping[str, Mapping[int, float]]:
    """The points of a campaign that ended with these trials."""
    curve = Curve()
    curve.take(rows)
    curve.end()
    return curve.points


def _is_drawn(step: int) -> bool:
    return step % (1 << (step // DENSE).bit_length()) == 0
