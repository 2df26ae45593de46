"""Engines as members of a fleet: what they report, and what is left of a lost one."""

from evaluators.companions import companion
from evaluators.scenario import Scenario
from evaluators.sim import handover
from evaluators.sim.cache.prefix_cache import Cache
from evaluators.sim.cluster.replica import Carried, Load, Replica
from evaluators.sim.engine import FastEngine, kv_cache
from evaluators.sim.hooks import Policy
from evaluators.sim.ledger import Ledger
from evaluators.sim.plain.engine import PlainEngine, plain_cache
from evaluators.sim.plain.request import Request
from evaluators.sim.recorder import Recorder
from evaluators.sim.run import Decision
from evaluators.workloads.trace import FOREVER_PS


def fast(scenario: Scenario, ledger: Ledger) -> Replica:
    """The engine by aggregates, or the plain one where a companion needs it."""
    policy = Policy(companion(scenario, "scheduling"))
    cache = kv_cache(scenario, companion(scenario, "eviction"))
    if policy.schedule or policy.ask == 0:
        return PlainReplica(scenario, policy, ledger, cache)
    return FastReplica(scenario, policy, ledger, cache)


def plain(scenario: Scenario, ledger: Ledger) -> Replica:
    """The engine that serves one step at a time."""
    policy = Policy(companion(scenario, "scheduling"))
    cache = plain_cache(scenario, companion(scenario, "eviction"))
    return PlainReplica(scenario, policy, ledger, cache)


class FastReplica(FastEngine):
    """The engine by aggregates."""

    def __init__(
        self, scenario: Scenario, policy: Policy, ledger: Ledger, cache: Cache | None
    ) -> None:
        super().__init__(scenario, policy, ledger, cache)
        self._prompt_tokens = scenario.trace.prompt_tokens

    @property
    def record(self) -> Recorder:
        """Its steps and decisions."""
        return self._running.record

    @property
    def cache(self) -> Cache | None:
        """See ``Replica``."""
        return self._running.memory.cache

    @property
    def peak_blocks(self) -> int:
        """Most KV blocks that were in use."""
        return self._deployment.kv_blocks - self._running.memory.least_free

    @property
    def held_blocks(self) -> int:
        """KV blocks in use."""
        return self._deployment.kv_blocks - self._running.memory.free

    def resubmit(self, request: Carried, at_ps: int) -> None:
        """See ``Replica``."""
        row, running = request.row, self._running
        running.goal[row] += request.generated - running.generated[row]
        running.generated[row] = request.generated
        running.last_token_ps[row] = request.last_token_ps
        blocks = running.memory.blocks(running.goal[row])
        running.panel.update(row, request.generated, blocks, request.last_token_ps)
        self.submit(row, at_ps)

    @property
    def load(self) -> Load:
        """See ``Replica``."""
        running, decodes = self._running, self._running.decodes
        waiting = len(self._scheduler.queue.members)
        tokens, blocks = running.waiting_tokens, running.waiting_blocks
        for _, row in self._arrivals:
            waiting += 1
            tokens += running.goal[row]
            blocks += running.memory.blocks(running.goal[row])
        for row in running.partials:
            tokens += running.goal[row] - running.computed[row]
        context = decodes.computed_tokens()
        for row in running.paused:
            context += running.computed[row]
        return Load(
            len(running.rows),
            waiting,
            tokens,
            blocks,
            running.memory.free,
            decodes.n + len(running.paused),
            context,
            running.last_step_ps,
        )

    @property
    def quiet_until_ps(self) -> int:
        """See ``Replica``."""
        if self._pending is not None:
            return self._pending.ends_ps
        idle = not (self._running.rows or self._scheduler.queue.members)
        return FOREVER_PS if idle and not self._arrivals else 0

    @property
    def step_end_ps(self) -> int | None:
        """See ``Replica``."""
        return None if self._pending is None else self._pending.ends_ps

    def decoding(self) -> list[Carried]:
        """See ``Replica``."""
        running = self._running
        rows = [row for row in running.rows if row not in running.partials]
        return [found for row in rows if (found := self.how_far(row))]

    def leaves_after_prompt(self, row: int) -> None:
        """See ``Replica``."""
        self._running.leaving.add(row)

    def how_far(self, row: int) -> Carried | None:
        """See ``Replica``."""
        running, decodes = self._running, self._running.decodes
        if row in running.paused or row in running.kept:
            return Carried(row, running.generated[row], running.last_token_ps[row])
        if decodes.finish[row] < 0:
            return None
        generated = running.output[row] - decodes.remaining(row)
        return Carried(row, generated, running.now_ps)

    def reserve(self, row: int, blocks: int) -> bool:
        """See ``Replica``."""
        return handover.reserve(self._running, row, blocks)

    def cancel(self, row: int) -> None:
        """See ``Replica``."""
        self._running.memory.cancel(row)
        self._scheduler.dirty = True

    def take(self, row: int) -> None:
        """See ``Replica``."""
        handover.leave(self._running, row)
        self._scheduler.dirty = True

    def let_go(self, row: int) -> None:
        """See ``Replica``."""
        handover.let_go(self._running, row)
        self._scheduler.dirty = True

    def give(self, request: Carried, at_ps: int) -> None:
        """See ``Replica``."""
        row, running = request.row, self._running
        if self._pending is None:
            running.now_ps = max(running.now_ps, at_ps)
        handover.join(running, *request)
        self._panel.show(row, self.ledger.arrived_ps[row])
        blocks = running.memory.blocks(running.goal[row])
        running.panel.update(row, request.generated, blocks, request.last_token_ps)

    def could_start(self, row: int, generated: int) -> bool:
        """See ``Replica``."""
        running, scheduler = self._running, self._scheduler
        if scheduler.queue.members or self._arrivals or running.partials:
            return False
        goal = int(self._prompt_tokens[row]) + generated
        hit, idle = running.memory.hits(row, goal)
        need = running.memory.blocks(goal) - hit + idle
        return scheduler.has_slot and need <= running.memory.free

    def abandon(self) -> list[Carried]:
        """See ``Replica``."""
        running = self._running
        rows = [*running.rows, *running.kept]
        for row in rows:
            handover.drop(running, row)
        rows += [*self._scheduler.queue.members, *(row for _, row in self._arrivals)]
        arrived = self.ledger.arrived_ps
        return [
            Carried(row, running.generated[row], running.last_token_ps[row])
            for row in sorted(rows, key=lambda row: (arrived[row], row))
        ]


class PlainReplica(PlainEngine):
    """The engine that serves one step at a time, over every request."""

    @property
    def peak_blocks(self) -> int:
        """Most KV blocks that were in use."""
        return self.scenario.deployment.kv_blocks - self.least_free

    @property
    def held_blocks(self) -> int:
        """KV blocks in use."""
        return self.scenario.deployment.kv_blocks - self.free

    def resubmit(self, request: Carried, at_ps: int) -> None:
        """See ``Replica``."""
        own = self.requests[request.row]
        own.goal += request.generated - own.generated
        own.generated = request.generated
        own.last_token_ps = request.last_token_ps
        blocks = self.blocks(own.goal)
        self.panel.update(own.row, own.generated, blocks, own.last_token_ps)
        self.submit(own.row, at_ps)

    @property
    def quiet_until_ps(self) -> int:
        """See ``Replica``."""
        return 0

    @property
    def step_end_ps(self) -> int | None:
        """See ``Replica``."""
        return None if self.pending is None else self.pending[0]

    def decoding(self) -> list[Carried]:
        """See ``Replica``."""
        return [self._carried(r) for r in self.running if r.decoding]

    def leaves_after_prompt(self, row: int) -> None:
        """See ``Replica``."""
        self.leaving.add(row)

    def how_far(self, row: int) -> Carried | None:
        """See ``Replica``."""
        request = self.requests[row]
        runs = request in self.running and request.decoding
        return self._carried(request) if runs or row in self.kept else None

    def take(self, row: int) -> None:
        """See ``Replica``."""
        self.leave(self.requests[row])

    def give(self, request: Carried, at_ps: int) -> None:
        """See ``Replica``."""
        row = request.row
        if self.pending is None:
            self.now_ps = max(self.now_ps, at_ps)
        self.join(*request)
        self.panel.show(row, self.ledger.arrived_ps[row])
        blocks = self.blocks(self.requests[row].goal)
        self.panel.update(row, request.generated, blocks, request.last_token_ps)

    def _carried(self, request: Request) -> Carried:
        return Carried(request.row, request.generated, request.last_token_ps)

    @property
    def load(self) -> Load:
        """See ``Replica``."""
        waiting = [*self.waiting, *(self.requests[row] for _, row in self.arrivals)]
        decoding = [r for r in self.running if r.decoding]
        queued = [*waiting, *(r for r in self.running if not r.decoding)]
        return Load(
            len(self.running),
            len(waiting),
            sum(r.goal - r.computed for r in queued),
            sum(self.blocks(r.goal) for r in waiting),
            self.free,
            len(decoding),
            sum(r.computed for r in decoding),
            self.last_step_ps,
        )

    def could_start(self, row: int, generated: int) -> bool:
        """See ``Replica``."""
        prefills = [r for r in self.running if not r.decoding]
        if self.waiting or self.arrivals or prefills:
            return False
        goal = int(self.scenario.trace.prompt_tokens[row]) + generated
        hit, idle = self.cache.hits(row, goal) if self.cache else (0, 0)
        has_slot = self._slots_taken() < self.scenario.deployment.max_running
        return has_slot and self.blocks(goal) - hit + idle <= self.free

    def abandon(self) -> list[Carried]:
        """See ``Replica``."""
        rows = [*(request.row for request in self.running), *self.kept]
        for row in rows:
            self.ledger.preemptions[row] += 1
            self.record.decisions.append(Decision(self.now_ps, "preempt", row))
        rows += [request.row for request in self.waiting]
        rows += [row for _, row in self.arrivals]
        arrived = self.ledger.arrived_ps
        rows.sort(key=lambda row: (arrived[row], row))
        return [self._carried(self.requests[row]) for row in rows]
