"""The engine, one step at a time over every request: slow, plain, and the oracle.

The fast engine must agree with it on every request to the picosecond. It also serves
what the fast engine's aggregates cannot: whole plans (level 2) and policies that ask to
be asked in every iteration.
"""

from heapq import heapify, heappop, heappush

import numpy as np

from evaluators.evaluation import PolicyError
from evaluators.scenario import Scenario
from evaluators.sim import plan
from evaluators.sim.alarm import Alarm
from evaluators.sim.arrivals import Arrivals
from evaluators.sim.block_owners import Owners
from evaluators.sim.cache import Cache
from evaluators.sim.cache_plain import PlainCache
from evaluators.sim.evict import Evictor
from evaluators.sim.hooks import Policy
from evaluators.sim.ledger import Ledger
from evaluators.sim.panel import Panel, n_tenants
from evaluators.sim.progress import Progress
from evaluators.sim.queue import INFINITY
from evaluators.sim.recorder import Recorder
from evaluators.sim.repeat import skip_equal_steps
from evaluators.sim.request import (
    Request,
    batch,
    capped,
    per_tenant,
    requests,
    running_view,
    scalars,
)
from evaluators.sim.run import Decision, Run
from evaluators.views import Engine, Running
from evaluators.workloads.trace import FOREVER_PS as FOREVER

Work = list[tuple[Request, int]]
"""Who computes how many tokens in a step."""


def simulate_plainly(
    scenario: Scenario,
    policy: object,
    *,
    eviction: object = None,
    skips: bool = False,
) -> Run:
    """Serve a scenario step by step; ``policy`` may lack any hook, or be None.

    Semantics of vLLM 0.32's scheduler: running requests first and in running order,
    then waiting ones until one does not fit; chunked prefill; preemption of the last by
    recomputation; no admission in a step that preempted. With ``skips``, decode-only
    steps that are all alike are taken at once. Raises ``PolicyError`` for a policy's
    fault.
    """
    cache = plain_cache(scenario, eviction)
    engine = PlainEngine(scenario, Policy(policy), cache=cache, skips=skips)
    engine.serve(Arrivals(scenario))
    return engine.result()


def plain_cache(scenario: Scenario, eviction: object = None) -> Cache | None:
    """Memory of an engine that keeps blocks for later requests; None if it does not."""
    deployment, trace = scenario.deployment, scenario.trace
    if not deployment.prefix_caching:
        return None
    evictor = Evictor(eviction, Owners(scenario))
    return PlainCache(deployment, trace.prefixes, len(trace), evictor)


class PlainEngine:
    """State of one engine; the same verbs as ``FastEngine``, a step at a time."""

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
        self.panel, self.cache = Panel(scenario, self._found if cache else None), cache
        self.ledger, self.record = ledger or Ledger(scenario), Recorder()
        self.progress = Progress(scenario)
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

    def _found(self, row: int) -> int:
        hits = self.cache.hits(row, self.requests[row].goal).blocks if self.cache else 0
        return hits * self.scenario.deployment.block_tokens

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

    def _ask(self) -> None:
        due, self.dirty = self.dirty, False
        policy = self.policy
        if not due:
            return
        if policy.schedule:
            plan.ask(self)
            return
        room = self._slots_taken() < self.scenario.deployment.max_running
        if not (room and self.waiting and policy.answers_admission):
            return
        matters = len(self.waiting) > 1 or (self.running and policy.holds_back)
        ranked = policy.admit_key is not None and matters
        self.keys = {}
        if not (ranked or policy.sizes_steps):
            return
        if ranked:
            self.waiting.sort(key=lambda request: (request.arrived_ps, request.row))
        rows = [request.row for request in self.waiting]
        view = self.panel.waiting(rows) if ranked else None
        answer = policy.admission(view, self.engine_view())
        if answer.budget is not None:
            most = self.scenario.deployment.max_step_tokens
            self.budget = min(most, max(1, answer.budget))
        if answer.cap is not None:
            self.cap = answer.cap
        if answer.keys is not None:
            self.keys = dict(zip(rows, answer.keys.tolist(), strict=True))
            self.waiting.sort(key=lambda request: self.keys[request.row])

    def _form(self) -> Work:
        """Who computes how many tokens: by the plan, or by ranks and caps."""
        if self.policy.schedule:
            return plan.form(self)
        alone = len(self.waiting) + len(self.running) == 1
        cap = 0 if alone else self.cap
        if self.policy.victim_key:
            self._sort_victims(cap)
        wants = {id(r): capped(r.goal - r.computed, cap) for r in self.running}
        work, budget, preempted = self.serve_running(wants, self.budget)
        if preempted:
            return work
        most = self.scenario.deployment.max_running
        while self.waiting and budget > 0 and self._slots_taken() < most:
            request = self.waiting[0]
            if self.running and self.keys.get(request.row) == INFINITY:
                break
            want = self.admit(request, cap, budget)
            if want is None:
                break
            del self.waiting[0]
            if want:
                work.append((request, want))
            budget -= want
        return work

    def serve_running(
        self, wants: dict[int, int], budget: int
    ) -> tuple[Work, int, bool]:
        """Serve running requests up to their wants and the budget, in order.

        Returns who computes what, the budget left, and whether any was preempted.
        """
        work: Work = []
        preempted, at = False, 0
        while at < len(self.running) and budget > 0:
            request = self.running[at]
            want = min(wants[id(request)], budget)
            if want <= 0 or request.ready_ps > self.now_ps:
                at += 1
                continue
            while not self._allocate(request, want):
                victim = self.running.pop()
                self.preempt(victim)
                preempted = True
                if victim is request:
                    return work, budget, True
            work.append((request, want))
            budget -= want
            at += 1
        return work, budget, preempted

    def _sort_victims(self, cap: int) -> None:
        """Order the running set by the policy if its allocations would not all fit."""
        need, budget = 0, self.budget
        for request in self.running:
            want = min(capped(request.goal - request.computed, cap), budget)
            want *= request.ready_ps <= self.now_ps
            need += self.blocks(request.computed + want) - self._held_blocks(request)
            budget -= want
        if need <= self.free or self.policy.victim_key is None:
            return
        view, engine = self.running_view(), self.engine_view()
        keys = self.policy.ranks(self.policy.victim_key, view, engine)
        order = np.argsort(keys, kind="stable")
        self.running = [self.running[i] for i in order]

    def admit(self, request: Request, cap: int, budget: int) -> int | None:
        """Let a waiting request run if its memory is free.

        Returns the tokens it computes in this step, None if it stays where it is.
        """
        hit, idle = self.cache.hits(request.row, request.goal) if self.cache else (0, 0)
        done = hit * self.scenario.deployment.block_tokens
        want = min(capped(request.goal - done, cap), budget)
        need = self.blocks(done + want) - hit
        if self.scenario.deployment.reserve_full_prompt:
            need = self.blocks(request.goal) - hit
        if need + idle > self.free:
            return None
        if self.cache:
            self.cache.admit(request.row, hit, self.now_ps)
            self.free = self.cache.free
        request.computed = done
        self.ledger.hit_tokens[request.row] += done
        self._allocate(request, want)
        self._enter(request)
        return want

    def _enter(self, request: Request) -> None:
        """A waiting request whose memory is taken runs from now on."""
        self.running.append(request)
        if self.ledger.admitted_ps[request.row] < 0:
            self.ledger.admitted_ps[request.row] = self.now_ps
        self.record.decisions.append(Decision(self.now_ps, "admit", request.row))

    def _allocate(self, request: Request, want: int) -> bool:
        need = self.blocks(request.computed + want) - self._held_blocks(request)
        if need > self.free:
            return False
        if self.cache:
            self.cache.grow(request.row, need, self.now_ps)
            if not request.decoding:
                self.cache.fill(request.row, request.computed + want, self.now_ps)
        self.free -= need
        self.least_free = min(self.least_free, self.free)
        return True

    def _release(self, request: Request) -> None:
        if self.cache:
            self.cache.release(request.row, request.computed, self.now_ps)
            self.free = self.cache.free
        else:
            self.free += self._held_blocks(request)

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

    def preempt(self, request: Request) -> None:
        """Put a request, taken from the running set, back to wait for recomputation."""
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
                gaps += self._emit(request, start)
                self.dirty |= not decoding
        sizes = gaps, step.decodes, step.prefill_tokens
        self.record.steps.extend((start, 1, duration, 0, *sizes))
        self.progress.spend(1, emitted)

    def _emit(self, request: Request, step_start_ps: int) -> bool:
        """One token at the end of the step; True when the gap was one step long."""
        row, now, whole = request.row, self.now_ps, False
        if request.last_token_ps < 0:
            self.ledger.first_token_ps[row] = now
        elif request.last_token_ps == step_start_ps and request.decoding:
            gap = now - step_start_ps
            longest = self.ledger.longest_gap_ps
            longest[row] = max(longest[row], gap)
            whole = True
        else:
            self.ledger.resume(row, now - request.last_token_ps)
        request.last_token_ps = now
        request.decoding = True
        request.generated += 1
        request.goal += 1
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
