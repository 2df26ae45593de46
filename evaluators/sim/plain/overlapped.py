"""The plain engine that decides each step while the one before computes.

As vLLM 0.32's ``AsyncScheduler`` behind a queue of two batches: when a step begins, the
next one is decided at once. So its tokens are still to come: their requests count as
that far, but who gets the last one is given no more and keeps its place and its memory
until the step has ended, and who arrives or finishes meanwhile is seen one step later.
Where there is nothing to decide, the next decision comes when the step ends, and its
step begins then.
"""

from typing import NamedTuple

from evaluators.calibration.step_time import Batch
from evaluators.sim.plain.request import Request, batch
from evaluators.sim.plain.state import Work
from evaluators.sim.plain.stepwise import PlainEngine


class Grant(NamedTuple):
    """What a decided step computes for a request.

    ``emits`` says that a token comes of it, ``decoding`` that it is not the first one.
    """

    request: Request
    tokens: int
    emits: bool
    decoding: bool


class Flight(NamedTuple):
    """A step that has been decided."""

    grants: list[Grant]
    step: Batch
    duration_ps: int


class OverlappedEngine(PlainEngine):
    """One engine, a step at a time, each decided when the one before begins.

    ``_flight`` is the step that computes, since ``_began_ps``; ``_next`` the one that
    was decided to follow it, once ``_is_decided``.
    """

    _flight: Flight | None = None
    _next: Flight | None = None
    _began_ps = 0
    _is_decided = False

    def _go(self, limit: int) -> bool:
        """End a step or decide one; False when nothing more may happen yet."""
        if self._flight is not None and self._is_decided:
            return self._end_step(self._flight, limit)
        if self._flight is None and not self.waiting and not self.running:
            if not self.arrivals:
                return False
            self.now_ps = max(self.now_ps, min(self._comes(), limit))
        if self.now_ps >= limit:
            return False
        self._arrive()
        self._ask()
        decided = self._decided(self._form())
        if self._flight is None:
            if decided is None:
                return self._wait(limit)
            self._flight, self._began_ps = decided, self.now_ps
        else:
            self._next, self._is_decided = decided, True
        return True

    def _end_step(self, flight: Flight, limit: int) -> bool:
        """The step that computes ends, and the next one begins."""
        ends_ps = self._began_ps + flight.duration_ps
        if ends_ps > limit:
            return False
        self.now_ps, self.last_step_ps = ends_ps, flight.duration_ps
        gaps = emitted = 0
        for grant in flight.grants:
            self.served[0][grant.request.tenant] += (
                0 if grant.decoding else grant.tokens
            )
            if grant.emits:
                emitted += 1
                gaps += self._emit(grant.request, self._began_ps, grant.decoding)
                self.dirty |= not grant.decoding
        sizes = gaps, flight.step.decodes, flight.step.prefill_tokens
        times = self._began_ps, 1, flight.duration_ps, 0
        self.record.steps.extend((*times, *sizes))
        self.progress.spend(1, emitted)
        self._flight, self._next = self._next, None
        self._began_ps, self._is_decided = ends_ps, False
        return True

    def _decided(self, work: Work) -> Flight | None:
        """A step in which each computes so much, as if it had; None without work."""
        if not work:
            return None
        step, grants = batch(work), []
        for request, tokens in work:
            request.computed += tokens
            emits = request.computed == request.goal
            grants.append(Grant(request, tokens, emits, request.decoding))
            if emits:
                request.decoding = True
                # Whose last token is on its way has nothing left to compute.
                to_come = request.generated + self._coming(request) + 1
                request.goal += to_come < request.output
        return Flight(grants, step, self.scenario.step_time.duration_ps(step))

    def _coming(self, request: Request) -> int:
        """Tokens of a request that the step which computes will bring."""
        grants = self._flight.grants if self._flight else ()
        return sum(grant.emits for grant in grants if grant.request is request)

    def _emit(self, request: Request, step_start_ps: int, decoding: bool) -> bool:
        whole = super()._emit(request, step_start_ps, decoding)
        if request in self.waiting:
            blocks = self.blocks(request.goal)
            last_ps = request.last_token_ps
            self.panel.update(request.row, request.generated, blocks, last_ps)
        elif self.cache and request in self.running:
            grants = self._next.grants if self._next else ()
            coming = sum(g.tokens for g in grants if g.request is request)
            self.cache.fill(request.row, request.computed - coming, self.now_ps)
        return whole

    def _end(self, request: Request) -> None:
        """See ``PlainState``; it may have been preempted since its step was decided."""
        if request in self.running:
            super()._end(request)
            return
        self.waiting.remove(request)
        self.finished.append(request.row)
        self.ledger.finished_ps[request.row] = self.now_ps
        self.ledger.outlived.append(request.row)
        self.dirty = True

    def _filled(self, request: Request, tokens: int) -> int:
        """See ``PlainState``: what a token that is still to come fills is not known."""
        prompt = int(self.scenario.trace.prompt_tokens[request.row])
        return min(tokens, prompt + request.generated)

    def _release(self, request: Request) -> None:
        if self.cache is None or request.generated == request.output:
            super()._release(request)
            return
        self.cache.release(request.row, request.computed, self.now_ps, filled=0)
        self.free = self.cache.free
