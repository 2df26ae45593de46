"""The plain engine's requests, memory and record, and what a step does to them."""

from evaluators.scenario import Scenario
from evaluators.sim.alarm import Alarm
from evaluators.sim.cache.prefix_cache import Cache
from evaluators.sim.hooks import Policy
from evaluators.sim.ledger import Ledger
from evaluators.sim.panel import Panel, n_tenants
from evaluators.sim.plain.request import (
    Request,
    batch,
    per_tenant,
    requests,
    running_view,
    scalars,
)
from evaluators.sim.progress import Progress
from evaluators.sim.recorder import Recorder
from evaluators.sim.run import Decision
from evaluators.views import Engine, Running

Work = list[tuple[Request, int]]
"""Who computes how many tokens in a step."""


class PlainState:
    """Who waits and who runs in one plain engine, and what of its memory is free."""

    def __init__(
        self,
        scenario: Scenario,
        policy: Policy,
        ledger: Ledger | None = None,
        cache: Cache | None = None,
        *,
        skips: bool = False,
    ) -> None:
        self.scenario, self.policy, self.skips = scenario, policy, skips
        self.ledger, self.record = ledger or Ledger(scenario), Recorder()
        found = self._found if cache else None
        self.panel = Panel(scenario, found, self.ledger.identities)
        self.cache = cache
        self.progress = Progress(scenario, policy.leads)
        self.now_ps = self.last_step_ps = 0
        self.alarm = Alarm(policy.ask, scenario.trace.priorities)
        self.waiting, self.running = list[Request](), list[Request]()
        self.requests = requests(scenario)
        self.arrivals: list[tuple[int, int]] = []
        self.finished: list[int] = []
        self.leaving, self.kept = set[int](), set[int]()
        self.reserved: dict[int, int] = {}
        self.pending: tuple[int, Work] | None = None
        self.free = self.least_free = scenario.deployment.kv_blocks
        self.budget, self.cap = scenario.deployment.max_step_tokens, 0
        self.keys: dict[int, float] = {}
        self.dirty = False
        self.served = [[0] * n_tenants(scenario) for _ in range(2)]

    def _found(self, row: int) -> int:
        hits = self.cache.hits(row, self.requests[row].goal).blocks if self.cache else 0
        return hits * self.scenario.deployment.block_tokens

    def leave(self, request: Request) -> None:
        """A request past its prompt goes on elsewhere; its memory is free again."""
        self.running.remove(request)
        self._release(request)
        request.decoding, self.dirty = False, True

    def let_go(self, row: int) -> None:
        """The memory of a kept request is free again."""
        self.kept.remove(row)
        self._release(self.requests[row])
        self.requests[row].decoding, self.dirty = False, True

    def reserve(self, row: int, blocks: int) -> bool:
        """Keep so many blocks in all for a request to come; False if there are none."""
        more = blocks - self.reserved.get(row, 0)
        full = self._slots_taken() >= self.scenario.deployment.max_running
        if more > self.free or (row not in self.reserved and full):
            return False
        if self.cache:
            if row not in self.reserved:
                self.cache.admit(row, self.cache.hits(row, 1)[0], self.now_ps)
            self.cache.grow(row, more, self.now_ps)
        self.reserved[row] = blocks
        self.free -= more
        self.least_free = min(self.least_free, self.free)
        return True

    def cancel(self, row: int) -> None:
        """A request for which memory was reserved does not come."""
        blocks = self.reserved.pop(row)
        self.free += blocks
        if self.cache:
            self.cache.cancel(row, blocks)
        self.dirty = True

    def join(self, row: int, generated: int, last_token_ps: int) -> None:
        """A request whose KV came from elsewhere goes on, in what was reserved."""
        del self.reserved[row]
        request = self.requests[row]
        request.goal += generated - request.generated
        request.generated, request.decoding = generated, True
        request.computed, request.last_token_ps = request.goal - 1, last_token_ps
        self.running.append(request)
        if self.cache:
            self.cache.fill(row, request.computed, self.now_ps)

    def _slots_taken(self) -> int:
        return len(self.running) + len(self.reserved)

    def blocks(self, tokens: int) -> int:
        """KV blocks that hold so many tokens."""
        return -(-tokens // self.scenario.deployment.block_tokens)

    def _held_blocks(self, request: Request) -> int:
        return self.blocks(request.computed)

    def _allocate(self, request: Request, want: int) -> bool:
        need = self.blocks(request.computed + want) - self._held_blocks(request)
        if need > self.free:
            return False
        if self.cache:
            self.cache.grow(request.row, need, self.now_ps)
            filled = self._filled(request, request.computed + want)
            self.cache.fill(request.row, filled, self.now_ps)
        self.free -= need
        self.least_free = min(self.least_free, self.free)
        return True

    def _filled(self, request: Request, tokens: int) -> int:
        """Of so many tokens, those that are found once their step is decided."""
        return tokens

    def _release(self, request: Request) -> None:
        if self.cache:
            self.cache.release(request.row, request.computed, self.now_ps)
            self.free = self.cache.free
        else:
            self.free += self._held_blocks(request)

    def preempt(self, request: Request) -> None:
        """Put a request, taken from the running set, back to wait for recomputation."""
        self.progress.stall()
        self._release(request)
        request.computed = 0
        request.decoding = False
        self.waiting.insert(0, request)
        self.ledger.preemptions[request.row] += 1
        self.record.decisions.append(Decision(self.now_ps, "preempt", request.row))
        blocks = self.blocks(request.goal)
        self.panel.update(request.row, request.generated, blocks, request.last_token_ps)
        self.dirty = True

    def _compute(self, work: Work, ends_ps: int) -> None:
        step, start = batch(work), self.now_ps
        self.now_ps, self.last_step_ps = ends_ps, ends_ps - start
        duration = self.last_step_ps
        gaps = emitted = 0
        for request, tokens in work:
            decoding = request.decoding
            self.served[0][request.tenant] += 0 if decoding else tokens
            request.computed += tokens
            if request.computed == request.goal:
                emitted += 1
                gaps += self._emit(request, start, decoding)
                request.decoding = True
                request.goal += 1
                self.dirty |= not decoding
        sizes = gaps, step.decodes, step.prefill_tokens
        self.record.steps.extend((start, 1, duration, 0, *sizes))
        self.progress.spend(1, emitted)

    def _emit(self, request: Request, step_start_ps: int, decoding: bool) -> bool:
        """One token at the end of the step; True when the gap was one step long.

        ``decoding`` says that the step before gave the request a token, too.
        """
        row, now, whole = request.row, self.now_ps, False
        if request.last_token_ps < 0:
            self.ledger.first_token_ps[row] = now
        elif request.last_token_ps == step_start_ps and decoding:
            gap = now - step_start_ps
            longest = self.ledger.longest_gap_ps
            longest[row] = max(longest[row], gap)
            whole = True
        else:
            self.ledger.resume(row, now - request.last_token_ps)
        request.last_token_ps = now
        request.generated += 1
        self.served[1][request.tenant] += 1
        if request.generated == request.output or row in self.leaving:
            self._end(request)
        return whole

    def _end(self, request: Request) -> None:
        """A request has emitted its last token, or the last one here."""
        self.leaving.discard(request.row)
        self.finished.append(request.row)
        self.running.remove(request)
        self.dirty = True
        if request.generated < request.output:
            self.kept.add(request.row)
            return
        self.ledger.finished_ps[request.row] = self.now_ps
        self._release(request)

    def running_view(self) -> Running:
        """What a policy may know of the running requests."""
        block_tokens = self.scenario.deployment.block_tokens
        return running_view(self.panel, self.running, block_tokens)

    def engine_view(self) -> Engine:
        """What a policy may know of the engine."""
        clock_ps = (self.now_ps, self.last_step_ps)
        facts = scalars(self.waiting, self.running, self.free, clock_ps)
        n = len(self.served[0])
        waiting, running = (per_tenant(r, n) for r in (self.waiting, self.running))
        tenants = (*self.served, waiting, running)
        return self.panel.engine(self.now_ps, facts, tenants)
