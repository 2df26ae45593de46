"""One step over the running set in order, where aggregates do not tell who gets what.

Taken when allocations might fail, so that somebody is preempted, or when the running
requests compete for the token budget.
"""

import numpy as np

from evaluators.sim.hooks import Policy
from evaluators.sim.running import RunningSet
from evaluators.sim.shown import engine_view, running_view


class Walk:
    """Who computes what in one step, and who was preempted for it."""

    __slots__ = (
        "_budget",
        "_cap",
        "_fills",
        "_policy",
        "_running",
        "chunks",
        "preempted",
        "woken",
    )

    def __init__(
        self, running: RunningSet, policy: Policy, budget: int, cap: int
    ) -> None:
        self._running, self._policy = running, policy
        self._budget, self._cap = budget, cap
        self.chunks: list[tuple[int, int]] = []
        self.woken: list[int] = []
        self.preempted: list[int] = []
        self._fills = running.outputs.filled(running.decodes.step)

    def serve(self, n_waiting: int) -> int:
        """Give tokens and memory in running order; returns the tokens left over.

        Requests are preempted from the end of the running order, which a policy's
        ``victim_key`` sorts first when the allocations would not all fit.
        """
        running = self._running
        order = list(running.rows)
        if self._policy.victim_key and self._shortage(order) > 0:
            order = self._sorted(order, n_waiting)
        left = self._budget
        served: set[int] = set()
        at = 0
        while at < len(order) and left > 0:
            row = order[at]
            want = min(self._want(row), left)
            if not self._allocate(row, want, order):
                break
            served.add(row)
            self._note(row, want)
            left -= want
            at += 1
        for row in order:
            if row not in served and running.decodes.finish[row] >= 0:
                running.stop_decoding(row)
                running.paused[row] = None
        return left

    def _note(self, row: int, want: int) -> None:
        if row in self._running.partials:
            self.chunks.append((row, want))
        elif row in self._running.paused:
            self.woken.append(row)

    def _want(self, row: int) -> int:
        running = self._running
        if row in running.partials:
            return min(running.goal[row] - running.computed[row], self._cap)
        return 0 if row in running.lingering else 1

    def _allocate(self, row: int, want: int, order: list[int]) -> bool:
        """Take the memory, preempting from the end; False if ``row`` itself went."""
        running = self._running
        need = self._need(row, want)
        while need > running.memory.free:
            victim = order.pop()
            running.preempt(victim)
            self.preempted.append(victim)
            if victim == row:
                return False
        if row in running.partials:
            running.memory.grow(row, need, running.computed[row] + want, running.now_ps)
        else:
            running.memory.take(need, running.now_ps)
            if row in self._fills or row in running.paused:
                done = running.computed_tokens(row)
                running.memory.fill(row, done + want, running.now_ps)
        return True

    def _need(self, row: int, want: int) -> int:
        running = self._running
        done = running.computed_tokens(row)
        return running.memory.blocks(done + want) - running.memory.blocks(done)

    def _shortage(self, order: list[int]) -> int:
        """Blocks missing for the whole step, were it served in this order."""
        need, left = 0, self._budget
        for row in order:
            want = min(self._want(row), left)
            need += self._need(row, want)
            left -= want
        return need - self._running.memory.free

    def _sorted(self, order: list[int], n_waiting: int) -> list[int]:
        """Running order by the policy: the highest key last, so preempted first."""
        running, hook = self._running, self._policy.victim_key
        assert hook is not None
        view, engine = running_view(running), engine_view(running, n_waiting)
        keys = self._policy.ranks(hook, view, engine)
        order = [order[i] for i in np.argsort(keys, kind="stable").tolist()]
        running.rows = dict.fromkeys(order)
        running.partials = {row: None for row in order if row in running.partials}
        return order
