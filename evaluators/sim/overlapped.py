"""The engine by aggregates that decides each step when the one before begins.

Equal to ``plain/overlapped.py`` on every request. It takes a step, then decides the
next one as of the moment when that step began (``coming.py``); where nothing comes of
it, it decides again as of the step's end.
"""

from evaluators.scenario import Scenario
from evaluators.sim.cache.prefix_cache import Cache
from evaluators.sim.clock import steps_to_cover
from evaluators.sim.coming import OverlappedRunningSet
from evaluators.sim.fast import FastEngine
from evaluators.sim.hooks import Policy
from evaluators.sim.step import Step
from evaluators.workloads.trace import FOREVER_PS as FOREVER


class OverlappedFastEngine(FastEngine):
    """One engine that serves alone, from the first arrival to the last token."""

    _running: OverlappedRunningSet

    def __init__(self, scenario: Scenario, policy: Policy, cache: Cache | None) -> None:
        super().__init__(scenario, policy, None, cache, OverlappedRunningSet)
        self._changed = self._ends = False

    def _go(self, limit: int) -> bool:
        """Decide a step and take it, with those that must do the same."""
        assert limit is FOREVER, "an engine that serves alone is never stopped"
        running, arrivals = self._running, self._arrivals
        if running.began_ps is None and not running.rows:
            if not (self._scheduler.queue.members or arrivals):
                return False
            if not self._scheduler.queue.members:
                running.now_ps = max(running.now_ps, arrivals[0][0])
        step = self._decide()
        if step is None and running.decodes.n:
            return self._skip(limit)
        if step is None or not (running.decodes.n or any(step)):
            goes_on = self._scheduler.dirty or running.began_ps is not None
            running.began_ps = None
            return goes_on
        self._changed = running.compute(step, running.duration_ps(step))
        return True

    def _decide(self) -> Step | None:
        """The next step, as of the beginning of the last one, whose end then comes."""
        running, scheduler = self._running, self._scheduler
        running.look_back()
        if self._arrivals and self._arrivals[0][0] <= running.now_ps:
            self._arrive()
        if self._alarm.next_ps is not None:
            scheduler.dirty |= self._alarm.rings(running.now_ps)
        scheduler.retries = self._changed
        step = scheduler.next_step()
        if step is None and running.decodes.n:
            need = running.decodes.blocks_next() - scheduler.taken
            if need > running.memory.free:
                step = scheduler.walk()
        running.look_up()
        self._ends = bool(running.lingering)
        if self._ends:
            if step is None and running.decodes.n:
                self._take_blocks(1)
            running.release_ended()
        scheduler.dirty |= self._changed
        self._changed = False
        return step

    def _take_blocks(self, steps: int) -> None:
        """Take the memory of so many decode-only steps."""
        running, scheduler = self._running, self._scheduler
        blocks = running.decodes.blocks_over(steps) - scheduler.taken
        running.memory.take(blocks, running.now_ps)
        scheduler.taken = 0

    def _skip(self, limit: int) -> bool:
        """Take decode-only steps up to the next decision that can be another one."""
        running, decodes = self._running, self._running.decodes
        durations = running.next_ps()
        steps = 1
        if not self._ends:
            if not self._scheduler.dirty:
                steps = self._steps_ahead(durations)
                taken = self._scheduler.taken
                if decodes.blocks_over(steps) - taken > running.memory.free:
                    steps = decodes.steps_within(running.memory.free + taken)
            self._take_blocks(steps)
        self._changed = running.skip(steps, durations)
        return True

    def _steps_ahead(self, durations: tuple[int, int]) -> int:
        """See ``FastEngine``; an event is seen by the decision after its step's end."""
        running, decodes = self._running, self._running.decodes
        last = min(decodes.next_finish(), self._scheduler.retry_step)
        context, until = decodes.context_tokens(), self._next_event_ps()
        steps = max(1, last - decodes.step)
        steps = running.clock.steps_to_edge(steps, decodes.n, context)
        if until is None:
            return steps
        if until <= running.now_ps:
            return 1
        return min(steps, 1 + steps_to_cover(until - running.now_ps, *durations))
