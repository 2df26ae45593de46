"""One engine that takes a step at a time over every request: what each step is."""

from heapq import heapify, heappop, heappush

from evaluators.evaluation import PolicyError
from evaluators.sim.arrivals import Arrivals
from evaluators.sim.plain.forming import PlainForming
from evaluators.sim.plain.repeat import skip_equal_steps
from evaluators.sim.plain.request import Request, batch
from evaluators.sim.plain.state import Work
from evaluators.sim.run import Run
from evaluators.workloads.trace import FOREVER_PS as FOREVER


class PlainEngine(PlainForming):
    """One engine, a step at a time; the same verbs as ``FastEngine``."""

    def serve(self, arrivals: Arrivals) -> None:
        """Serve all these requests, and nobody else's, to the end."""
        self.ledger.rejected.extend(arrivals.rejected)
        self.arrivals = list(arrivals.first)
        heapify(self.arrivals)
        while self._go(FOREVER):
            for row in self.finished:
                for at, follower in arrivals.after(row, self.now_ps):
                    heappush(self.arrivals, (at, follower))
            self.finished.clear()

    def submit(self, row: int, at_ps: int) -> None:
        """A request is here from then on; not before a time that was advanced to."""
        heappush(self.arrivals, (at_ps, row))

    def advance(self, until_ps: int | None) -> None:
        """Take every step that ends by then and begin the one that does not."""
        while self._go(FOREVER if until_ps is None else until_ps):
            pass

    @property
    def questions(self) -> int:
        """Questions to the policies of this engine."""
        return self.policy.questions + (self.cache.questions if self.cache else 0)

    def earliest_finish_ps(self) -> int | None:
        """Time before which no request finishes, as things are; None when idle."""
        if self.pending is not None:
            return self.pending[0]
        if self.running or (self.waiting and not self.stands):
            return self.now_ps + 1
        return max(self.now_ps, self._comes()) + 1 if self.arrivals else None

    def _go(self, limit: int) -> bool:
        """Take or begin a step; False when nothing more may happen yet."""
        if self.pending is not None:
            return self._land(*self.pending, limit)
        if not self.waiting and not self.running:
            if not self.arrivals:
                return False
            self.now_ps = max(self.now_ps, min(self._comes(), limit))
        if self.now_ps >= limit:
            return False
        self._arrive()
        self._ask()
        work = self._form()
        if not work and (self.kept or self.reserved):
            return self._stand(limit)
        if not work:
            return self._wait(limit)
        if self.skips and limit == FOREVER:
            skip_equal_steps(self, work)
        duration = self.scenario.step_time.duration_ps(batch(work))
        return self._land(self._begins_ps() + duration, work, limit)

    def _stand(self, limit: int) -> bool:
        """Nothing can run before memory that is kept or reserved comes free."""
        if not self.dirty and limit != FOREVER:
            self.now_ps = limit
        return self.dirty

    @property
    def stands(self) -> bool:
        """Whether nothing can run, as memory is kept for others."""
        is_kept = self.kept or self.reserved
        return bool(is_kept and not (self.running or self.dirty or self.arrivals))

    def _begins_ps(self) -> int:
        """When a step that is formed by now may begin to compute."""
        return self.now_ps

    def may_skip(self) -> bool:
        """Whether equal steps may be taken at once, as things are."""
        return not self.cache

    def grow_alike(self, requests: list[Request], steps: int) -> None:
        """These requests take the memory of so many steps, the first one's no more."""

    def _land(self, ends_ps: int, work: Work, limit: int) -> bool:
        """End a step, or leave it pending when it ends beyond ``limit``."""
        if ends_ps > limit:
            self.pending = ends_ps, work
            return False
        self.pending = None
        self._compute(work, ends_ps)
        return True

    def _wait(self, limit: int) -> bool:
        """Nothing runs by the plan's own choice: go to what may change its mind."""
        self.progress.spend(1, 0)
        event = self.next_event_ps()
        if event is None and not self.dirty and limit == FOREVER:
            raise PolicyError("no_progress", "the plan runs nothing, nothing arrives")
        self.now_ps = max(self.now_ps, min(event or 0, limit))
        return self.now_ps < limit

    def result(self) -> Run:
        """What happened, once nothing is left to do."""
        total, asked = self.scenario.deployment.kv_blocks, self.questions
        peak, end = total - self.least_free, total - self.free
        return self.ledger.run(
            [self.record], questions=asked, peak_blocks=peak, end_blocks=end
        )

    def next_event_ps(self) -> int | None:
        """When an arrival or the alarm comes next; None if neither does."""
        events = [self._comes()] if self.arrivals else []
        if self.alarm.next_ps is not None:
            events.append(self.alarm.next_ps)
        return min(events, default=None)

    def _comes(self) -> int:
        return self.arrivals[0][0]

    def _arrive(self) -> None:
        while self.arrivals and self._comes() <= self.now_ps:
            at, row = heappop(self.arrivals)
            request = self.requests[row]
            request.arrived_ps = self.ledger.arrive(row, at)
            self.panel.show(row, request.arrived_ps)
            self.waiting.append(request)
            self.dirty = True
        self.dirty |= self.alarm.rings(self.now_ps)
