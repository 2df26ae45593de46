"""What time it is for an engine that serves in real time."""

import time

PS_PER_NS = 1000
SPIN_NS = 500_000
"""A sleep ends up to this late; the rest of a wait is spent looking at the clock."""


class WallClock:
    """Picoseconds since it was made, as everybody else's clock tells them."""

    def __init__(self) -> None:
        self._zero_ns = time.perf_counter_ns()

    def now_ps(self) -> int:
        """Time since the clock was made."""
        return (time.perf_counter_ns() - self._zero_ns) * PS_PER_NS

    def wait_until(self, at_ps: int) -> None:
        """Return at that time, or at once if it is over."""
        until_ns = self._zero_ns + at_ps // PS_PER_NS
        left_ns = until_ns - time.perf_counter_ns() - SPIN_NS
        if left_ns > 0:
            time.sleep(left_ns / 1e9)
        while time.perf_counter_ns() < until_ns:
            pass


class OwnClock:
    """Picoseconds that this thread computed or waited, without those others took.

    On a shared machine other processes interrupt the engine; this clock stands still
    meanwhile, and a wait takes no time but that on the clock.
    """

    def __init__(self) -> None:
        self._zero_ns = time.thread_time_ns()
        self._waited_ps = 0

    def now_ps(self) -> int:
        """Time since the clock was made."""
        own_ns = time.thread_time_ns() - self._zero_ns
        return own_ns * PS_PER_NS + self._waited_ps

    def wait_until(self, at_ps: int) -> None:
        """Advance to that time, unless it is over."""
        self._waited_ps += max(0, at_ps - self.now_ps())


CLOCKS = {"wall": WallClock, "own": OwnClock}
