"""The plain engine with host memory: what is preempted need not be computed again.

With prefix caching the host is a tier below it, for all requests (``caching.py``);
without, what follows holds.

A victim's KV moves to the host, unless the policy has it recomputed or there is no
room. The request then waits like any other one; when it is admitted, its KV moves back
and it goes on where it was. ``swap.py`` says what the steps wait for.
"""

from dataclasses import replace
from typing import NamedTuple

from evaluators.scenario import Scenario
from evaluators.sim.arrivals import Arrivals
from evaluators.sim.hooks import Policy
from evaluators.sim.host.caching import CachingEngine
from evaluators.sim.host.copies import Copies
from evaluators.sim.host.forgetting import forgetting
from evaluators.sim.host.landing import LandingEngine
from evaluators.sim.host.swap import Swap
from evaluators.sim.ledger import Ledger
from evaluators.sim.plain.request import Request, capped
from evaluators.sim.plain.state import Work
from evaluators.sim.run import Run
from evaluators.views import Running


def simulate_with_host(
    scenario: Scenario, policy: object, *, eviction: object = None, skips: bool = True
) -> Run:
    """Serve a scenario whose deployment has host memory.

    ``eviction`` says which cached blocks leave the GPU first, where any are cached.
    With ``skips``, decode-only steps that are all alike are taken at once.
    """
    hooks = Policy(policy)
    engine: SwappingEngine | CachingEngine
    if scenario.deployment.prefix_caching:
        cache = forgetting(scenario, eviction)
        engine = CachingEngine(scenario, hooks, cache=cache)
    else:
        engine = SwappingEngine(scenario, hooks, skips=skips and hooks.ask != 0)
    engine.serve(Arrivals(scenario))
    return engine.result()


class Victim(NamedTuple):
    """A request that was preempted in this step, and what it had computed.

    ``mode`` is what a plan said, as ``preempt_mode`` returns it; None if nothing.
    """

    request: Request
    computed: int
    mode: int | None


class SwappingEngine(LandingEngine):
    """A plain engine whose preempted requests keep their KV in host memory."""

    def __init__(
        self,
        scenario: Scenario,
        policy: Policy,
        ledger: Ledger | None = None,
        *,
        skips: bool = False,
    ) -> None:
        super().__init__(scenario, policy, ledger, skips=skips)
        where = scenario.deployment
        assert where.host_memory is not None
        self.swap = Swap(where.host_memory, where.kv_blocks, where.block_tokens)
        self.panel.found = self.swap.holds
        self._overlaps = where.host_memory.overlaps
        self._victims: list[Victim] = []

    def result(self) -> Run:
        """See ``PlainEngine``; with what was copied."""
        return replace(super().result(), copies=self.copies)

    @property
    def copies(self) -> Copies:
        """What was copied so far."""
        return self.swap.result()

    def leave(self, request: Request) -> None:
        """See ``PlainState``."""
        super().leave(request)
        self.swap.drop(request.row)

    def let_go(self, row: int) -> None:
        """See ``PlainState``."""
        super().let_go(row)
        self.swap.drop(row)

    def join(self, row: int, generated: int, last_token_ps: int) -> None:
        """See ``PlainState``."""
        super().join(row, generated, last_token_ps)
        self.swap.take(row, self.blocks(self.requests[row].computed))

    def may_skip(self) -> bool:
        """See ``PlainEngine``; not while anything is copied."""
        return self.swap.is_quiet(self.now_ps)

    def grow_alike(self, requests: list[Request], steps: int) -> None:
        """See ``PlainEngine``; blocks are taken in the order of the single steps."""
        size, taken = self.scenario.deployment.block_tokens, []
        for at, request in enumerate(requests):
            done = request.computed
            first = done + 2 + (-1 - done) % size
            for tokens in range(first, done + steps + 1, size):
                taken.append((tokens - done, at, request.row))
        for _, _, row in sorted(taken):
            self.swap.take(row, 1)

    def preempt(self, request: Request) -> None:
        """See ``PlainEngine``; what becomes of its KV is decided in ``_settle``."""
        mode = -1 - request.grant if request.grant < 0 else None
        self._victims.append(Victim(request, request.computed, mode))
        super().preempt(request)

    def admit(self, request: Request, cap: int, budget: int) -> int | None:
        """See ``PlainEngine``; KV in the host is moved back instead of recomputed."""
        self._settle()
        done = self.swap.holds(request.row)
        if not done:
            request.ready_ps = self.now_ps
            return super().admit(request, cap, budget)
        left = request.goal - done
        want = 0 if self._overlaps else min(capped(left, cap), budget)
        need = self.blocks(done + want)
        if self.scenario.deployment.reserve_full_prompt:
            need = self.blocks(request.goal)
        if need > self.free:
            return None
        self._allocate(request, done + want)
        request.computed = done
        request.decoding = left == 1 and request.generated > 0
        landed = self.swap.back(request.row, self.free, self.now_ps)
        request.ready_ps = landed if self._overlaps else self.now_ps
        self._enter(request)
        return want

    def _begins_ps(self) -> int:
        return self.swap.begins_ps(self.free, self.now_ps)

    def _form(self) -> Work:
        work = super()._form()
        self._settle()
        return work

    def _allocate(self, request: Request, want: int) -> bool:
        need = self.blocks(request.computed + want) - self._held_blocks(request)
        if not super()._allocate(request, want):
            return False
        self.swap.take(request.row, need)
        return True

    def _release(self, request: Request) -> None:
        super()._release(request)
        if request.generated == request.output:
            self.swap.drop(request.row)
        else:
            self.swap.leave(request.row, self.now_ps)

    def _settle(self) -> None:
        """Decide what becomes of the KV of those who were preempted since."""
        victims, self._victims = self._victims, []
        if not victims:
            return
        modes = [victim.mode for victim in victims]
        if not self.policy.schedule:
            view = self._victims_view(victims)
            modes = list(self.policy.modes(view, self.engine_view()))
        for victim, mode in zip(victims, modes, strict=True):
            row, now = victim.request.row, self.now_ps
            if mode == 0:
                self.swap.drop(row)
            else:
                self.swap.out(row, victim.computed, now, keep=mode == 2)

    def _victims_view(self, victims: list[Victim]) -> Running:
        requests = [victim.request for victim in victims]
        computed = [victim.computed for victim in victims]
        return self.panel.running(
            [r.row for r in requests],
            computed,
            [self.blocks(tokens) for tokens in computed],
            [r.generated for r in requests],
            [r.last_token_ps for r in requests],
        )
