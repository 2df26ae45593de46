"""The engine that serves one step at a time as a member of a fleet."""

from evaluators.sim.cluster.replica import Carried, Load
from evaluators.sim.host.copies import Copies
from evaluators.sim.plain.request import Request
from evaluators.sim.plain.stepwise import PlainEngine
from evaluators.sim.run import Decision


class PlainReplica(PlainEngine):
    """The engine that serves one step at a time, over every request."""

    @property
    def copies(self) -> Copies | None:
        """See ``Replica``."""
        return None

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
