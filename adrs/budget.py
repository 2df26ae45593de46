"""What a campaign may spend: evaluations, tokens, dollars, seconds.

Evaluations are candidates evaluated beyond the seeds: the seeds are the baselines that
every arm needs, so that two arms of one budget get equally many new candidates. What
is in flight is reserved and always finished: paid work is never thrown away. Time spent
waiting for a model that is down does not count.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

_ROUNDING = 1e-9
"""Dollars are added and taken back as floats."""


class Cost(NamedTuple):
    """An amount of what is counted."""

    evaluations: int = 0
    tokens: int = 0
    usd: float = 0.0

    def plus(self, other: "Cost", times: int = 1) -> "Cost":
        """This and ``times`` the other."""
        return Cost(
            self.evaluations + times * other.evaluations,
            self.tokens + times * other.tokens,
            self.usd + times * other.usd,
        )


class Limits(NamedTuple):
    """The most that may be spent; None is no limit."""

    evaluations: int | None = None
    tokens: int | None = None
    usd: float | None = None
    seconds: float | None = None


class Budget:
    """Counts what was spent and what is in flight against ``Limits``.

    ``clock`` gives seconds; ``elapsed_s`` is what an earlier process of the same run
    spent. Nobody knows what a model call costs before it is made: one is expected to
    cost as much as the dearest so far, and the first round asks a single one when
    tokens or dollars are limited. Evaluations never exceed their limit.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        elapsed_s: float = 0.0,
    ) -> None:
        self.limits = limits
        self.spent = Cost()
        self.reserved = Cost()
        # A model call, of which ``spend`` was told: it has no evaluation in it.
        self._dearest: Cost | None = None
        self._clock = clock
        self._start_s = clock() - elapsed_s

    @property
    def elapsed_s(self) -> float:
        """Seconds that count."""
        return self._clock() - self._start_s

    def forgive(self, seconds: float) -> None:
        """Do not count this much of the time that has passed."""
        self._start_s += seconds

    @property
    def call(self) -> Cost:
        """What one proposal is expected to cost, its evaluation included."""
        return Cost(1).plus(self._dearest or Cost())

    def shortage(self, cost: Cost) -> str | None:
        """The first limit that ``cost`` would exceed, or None when there is room."""
        if self.limits.seconds is not None and self.elapsed_s >= self.limits.seconds:
            return "seconds"
        return self._exceeded(cost)

    def has_room(self, cost: Cost) -> bool:
        """Whether ``cost`` fits beside what is spent and in flight."""
        return self.shortage(cost) is None

    def proposals(self, wanted: int) -> int:
        """How many proposals fit, at most ``wanted``; does not look at the clock."""
        is_priced = self.limits.tokens is not None or self.limits.usd is not None
        n = min(wanted, 1) if is_priced and self._dearest is None else wanted
        while n and self._exceeded(Cost().plus(self.call, n)):
            n -= 1
        return n

    def reserve(self, cost: Cost) -> None:
        """Set ``cost`` aside for work that starts now; ``ValueError`` if it is over."""
        exceeded = self._exceeded(cost)
        if exceeded:
            raise ValueError(
                f"{cost} would exceed the budget of {exceeded}: {self.limits}, "
                f"spent {self.spent}, in flight {self.reserved}"
            )
        self.reserved = self.reserved.plus(cost)

    def spend(self, reserved: Cost, actual: Cost) -> None:
        """Turn what was set aside into what it really cost."""
        self.reserved = self.reserved.plus(reserved, -1)
        self.spent = self.spent.plus(actual)
        if not actual.evaluations:
            dearest = self._dearest or Cost()
            self._dearest = Cost(
                0, max(dearest.tokens, actual.tokens), max(dearest.usd, actual.usd)
            )

    def _exceeded(self, cost: Cost) -> str | None:
        total = self.spent.plus(self.reserved).plus(cost)
        for name in Cost._fields:
            limit = getattr(self.limits, name)
            if limit is not None and getattr(total, name) > limit + _ROUNDING:
                return name
        return None
