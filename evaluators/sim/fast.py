"""The engine by aggregates: equal decode steps are skipped at once, exactly.

A step touches only what changes in it: prefill chunks, finishes, admissions. The
decoding requests are a few sums (``decodes.py``), and a run of decode-only steps is one
closed form (``clock.py``). Steps whose allocations might fail, or whose running
requests compete for the token budget, walk the running set instead (``walk.py``).
"""

from heapq import heapify, heappop, heappush
from typing import NamedTuple

from evaluators.scenario import Scenario
from evaluators.sim.alarm import Alarm
from evaluators.sim.arrivals import Arrivals
from evaluators.sim.cache.prefix_cache import Cache
from evaluators.sim.clock import steps_to_cover
from evaluators.sim.hooks import Policy
from evaluators.sim.ledger import Ledger
from evaluators.sim.panel import Panel
from evaluators.sim.queue import FirstCome, Ranked
from evaluators.sim.run import Run
from evaluators.sim.running import RunningSet
from evaluators.sim.scheduler import Scheduler
from evaluators.sim.step import Step
from evaluators.workloads.trace import FOREVER_PS as FOREVER


class Pending(NamedTuple):
    """A step that has begun and ends later; None as ``step`` is one of a skip."""

    ends_ps: int
    step: Step | None
    durations: tuple[int, int]


class FastEngine:
    """One engine, told who arrives when and how far to go."""

    def __init__(
        self,
        scenario: Scenario,
        policy: Policy,
        ledger: Ledger | None = None,
        cache: Cache | None = None,
        running: type[RunningSet] = RunningSet,
    ) -> None:
        self._deployment, self._policy = scenario.deployment, policy
        self.ledger = ledger or Ledger(scenario)
        self._panel = Panel(
            scenario, self._found if cache else None, self.ledger.identities
        )
        self._running = running(
            scenario, self._panel, self.ledger, cache, is_led=policy.leads
        )
        ordered = self.ledger.arrived_ps if scenario.trace.sessions else None
        queue = Ranked(ordered) if policy.admit_key else FirstCome()
        self._scheduler = Scheduler(scenario.deployment, policy, self._running, queue)
        self._arrivals: list[tuple[int, int]] = []
        self._arriving: Arrivals | None = None
        self._pending: Pending | None = None
        self._alarm = Alarm(policy.ask, scenario.trace.priorities)

    # -- what others tell and ask it ------------------------------------------------

    def serve(self, arrivals: Arrivals) -> None:
        """Serve all these requests, and nobody else's, to the end."""
        self.ledger.rejected.extend(arrivals.rejected)
        self._arrivals = list(arrivals.first)
        heapify(self._arrivals)
        self._arriving = None if arrivals.are_open else arrivals
        self.advance(None)

    def submit(self, row: int, at_ps: int) -> None:
        """A request is here from then on; not before a time that was advanced to."""
        heappush(self._arrivals, (at_ps, row))

    def advance(self, until_ps: int | None) -> None:
        """Take every step that ends by then and begin the one that does not.

        No step begins at ``until_ps`` itself, so that what arrives then can be told
        before. None goes on until nothing is left to do.
        """
        limit = FOREVER if until_ps is None else until_ps
        while self._go(limit):
            if self._arriving and self._running.finished:
                self._follow(self._arriving)

    @property
    def finished(self) -> list[int]:
        """Rows that ended, in order; the caller clears them."""
        return self._running.finished

    @property
    def questions(self) -> int:
        """Questions to the policies of this engine."""
        cache = self._running.memory.cache
        return self._policy.questions + (cache.questions if cache else 0)

    def earliest_finish_ps(self) -> int | None:
        """Time before which no request finishes, as things are; None when idle.

        Exact while all that runs decodes and has the memory to.
        """
        running, pending = self._running, self._pending
        if pending is None:
            if running.rows or (self._scheduler.queue.members and not self.stands):
                return running.now_ps + 1
            return (
                max(running.now_ps, self._arrivals[0][0]) + 1
                if self._arrivals
                else None
            )
        busy = running.partials or running.paused or self._arrivals
        timed = pending.step is not None or self._alarm.next_ps is not None
        if timed or busy or self._scheduler.dirty:
            return pending.ends_ps
        decodes = running.decodes
        left = decodes.next_finish() - decodes.step
        if self._scheduler.retry_step < decodes.next_finish():
            return pending.ends_ps
        if decodes.blocks_over(left) - decodes.blocks_next() > running.memory.free:
            return pending.ends_ps
        return running.now_ps + running.span_ps(left, pending.durations)

    @property
    def stands(self) -> bool:
        """Whether nothing can run, as memory is kept for others."""
        running, scheduler = self._running, self._scheduler
        is_kept = running.kept or running.memory.reserved
        return bool(is_kept and not (running.rows or scheduler.dirty or self._arrivals))

    def result(self) -> Run:
        """What happened, once nothing is left to do."""
        running, total = self._running, self._deployment.kv_blocks
        return self.ledger.run(
            [running.record],
            questions=self.questions,
            peak_blocks=total - running.memory.least_free,
            end_blocks=total - running.memory.free,
        )

    # -- from event to event ----------------------------------------------------------

    def _found(self, row: int) -> int:
        cache, goal = self._running.memory.cache, self._running.goal[row]
        hits = cache.hits(row, goal).blocks if cache else 0
        return hits * self._deployment.block_tokens

    def _follow(self, arrivals: Arrivals) -> None:
        now = self._running.now_ps
        for row in self._running.finished:
            for at, follower in arrivals.after(row, now):
                heappush(self._arrivals, (at, follower))
        self._running.finished.clear()

    def _go(self, limit: int) -> bool:
        """Take or begin the next steps; False when nothing more may happen yet."""
        running, arrivals = self._running, self._arrivals
        if self._pending:
            return self._land(self._pending, limit)
        if not running.rows and not self._scheduler.queue.members:
            if not arrivals:
                return False
            running.now_ps = max(running.now_ps, min(arrivals[0][0], limit))
        if running.now_ps >= limit:
            return False
        if arrivals and arrivals[0][0] <= running.now_ps:
            self._arrive()
        if self._alarm.next_ps is not None:
            self._scheduler.dirty |= self._alarm.rings(running.now_ps)
        step = self._scheduler.next_step()
        if step is not None:
            return self._begin(step, limit)
        return self._skip(limit) if running.decodes.n else self._stand(limit)

    def _stand(self, limit: int) -> bool:
        """Nothing can run before memory that is kept or reserved comes free."""
        if not self._scheduler.dirty and limit is not FOREVER:
            self._running.now_ps = limit
        return self._scheduler.dirty

    def _begin(self, step: Step, limit: int) -> bool:
        """Take a step whose memory is taken, or leave it pending beyond ``limit``."""
        running = self._running
        if not (running.decodes.n or any(step)):
            return self._stand(limit)
        duration = running.duration_ps(step)
        if running.now_ps + duration > limit:
            self._pending = Pending(running.now_ps + duration, step, (duration, 0))
            return False
        self._scheduler.dirty |= running.compute(step, duration)
        return True

    def _land(self, pending: Pending, limit: int) -> bool:
        if pending.ends_ps > limit:
            return False
        self._pending = None
        running, (first, _) = self._running, pending.durations
        if pending.step is None:
            self._scheduler.dirty |= running.skip(1, pending.durations)
        else:
            self._scheduler.dirty |= running.compute(pending.step, first)
        return True

    def _arrive(self) -> None:
        arrivals, now = self._arrivals, self._running.now_ps
        while arrivals and arrivals[0][0] <= now:
            at, row = heappop(arrivals)
            self._panel.show(row, self.ledger.arrive(row, at))
            self._scheduler.queue.arrive(row)
            self._running.wait(row)
            self._scheduler.dirty = True

    def _skip(self, limit: int) -> bool:
        """Take decode-only steps up to the next event that can change anything."""
        running, decodes = self._running, self._running.decodes
        durations = running.next_ps()
        steps, ends = self._steps_ahead(durations), True
        if limit is not FOREVER:
            within = steps_to_cover(limit - running.now_ps + 1, *durations) - 1
            ends, steps = within > 0, min(steps, max(1, within))
        taken = self._scheduler.taken
        blocks = decodes.blocks_over(steps) - taken
        most = running.memory.unasked
        if blocks > most:
            steps = decodes.steps_within(most + taken)
            if steps == 0:
                return self._begin(self._scheduler.walk(), limit)
            blocks = decodes.blocks_over(steps) - taken
        running.memory.take(blocks, running.now_ps)
        self._scheduler.taken = 0
        if running.memory.cache is not None:
            last = decodes.step + steps
            running.outputs.fill_before(last, running.rows, running.now_ps)
        if not ends:
            ends_ps = running.now_ps + durations[0]
            self._pending = Pending(ends_ps, None, durations)
            return False
        self._scheduler.dirty |= running.skip(steps, durations)
        return True

    def _steps_ahead(self, durations: tuple[int, int]) -> int:
        """Decode-only steps up to the next event, were there memory for them."""
        running, decodes = self._running, self._running.decodes
        last = min(decodes.next_finish(), self._scheduler.retry_step)
        steps, until = max(1, last - decodes.step), self._next_event_ps()
        if running.clock.edges is not None:
            context = decodes.context_tokens()
            steps = running.clock.steps_to_edge(steps, decodes.n, context)
        if until is None:
            return steps
        return min(steps, steps_to_cover(until - running.now_ps, *durations))

    def _next_event_ps(self) -> int | None:
        """When time alone brings a decision point; None if it does not."""
        at = None
        blocked = self._scheduler.queue.members and not self._policy.answers_admission
        if self._arrivals and self._scheduler.has_slot and not blocked:
            at = self._arrivals[0][0]
        rings = self._alarm.next_ps
        return rings if at is None or (rings is not None and rings < at) else at
