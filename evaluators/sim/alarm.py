"""Times at which a policy is asked though nothing happened to any request."""

from evaluators.workloads.prefixes import Priorities
from evaluators.workloads.trace import PS_PER_S


class Alarm:
    """Rings every so often, as the policy wishes, and when priorities change.

    ``next_ps`` is when it rings next; None if it never does again.
    """

    __slots__ = ("_change_ps", "_changes_ps", "_period_ps", "_wish_ps", "next_ps")

    def __init__(self, period_s: float | None, priorities: Priorities | None) -> None:
        self._period_ps = None if period_s is None else max(1, int(period_s * PS_PER_S))
        self._wish_ps = 0
        period_ps, n = (
            (priorities.period_ps, len(priorities.levels)) if priorities else (0, 0)
        )
        self._changes_ps = (k * period_ps for k in range(1, n))
        self._change_ps = next(self._changes_ps, None)
        self.next_ps = self._next()

    def rings(self, now_ps: int) -> bool:
        """Whether it rings by now; if so, it is set to its next time."""
        if self.next_ps is None or now_ps < self.next_ps:
            return False
        if self._period_ps is not None and now_ps >= self._wish_ps:
            self._wish_ps = now_ps + self._period_ps
        while self._change_ps is not None and self._change_ps <= now_ps:
            self._change_ps = next(self._changes_ps, None)
        self.next_ps = self._next()
        return True

    def _next(self) -> int | None:
        wish_ps = None if self._period_ps is None else self._wish_ps
        times = (at for at in (wish_ps, self._change_ps) if at is not None)
        return min(times, default=None)
