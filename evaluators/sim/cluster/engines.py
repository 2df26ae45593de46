"""Engines as members of a fleet: what they report, and what is left of a lost one."""

from evaluators.companions import companion
from evaluators.scenario import Scenario
from evaluators.sim import handover
from evaluators.sim.cache.prefix_cache import Cache
from evaluators.sim.cluster.hosts import host_replica
from evaluators.sim.cluster.replica import Carried, Load, Replica
from evaluators.sim.cluster.stepping import PlainReplica
from evaluators.sim.engine import kv_cache
from evaluators.sim.fast import FastEngine
from evaluators.sim.hooks import Policy
from evaluators.sim.host.copies import Copies
from evaluators.sim.ledger import Ledger
from evaluators.sim.plain.engine import plain_cache
from evaluators.sim.recorder import Recorder
from evaluators.workloads.trace import FOREVER_PS


def fast(scenario: Scenario, ledger: Ledger) -> Replica:
    """The engine by aggregates; a plain one for host memory, or for some companions."""
    policy = Policy(companion(scenario, "scheduling"))
    if scenario.deployment.host_memory:
        return host_replica(scenario, policy, ledger)
    cache = kv_cache(scenario, companion(scenario, "eviction"))
    if policy.schedule or policy.ask == 0:
        return PlainReplica(scenario, policy, ledger, cache)
    return FastReplica(scenario, policy, ledger, cache)


def plain(scenario: Scenario, ledger: Ledger) -> Replica:
    """The engine that serves one step at a time."""
    policy = Policy(companion(scenario, "scheduling"))
    if scenario.deployment.host_memory:
        return host_replica(scenario, policy, ledger)
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
    def copies(self) -> Copies | None:
        """See ``Replica``."""
        return None

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
