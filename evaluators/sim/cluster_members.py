"""The replicas of a fleet: engines that advance on their own, and may be lost."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, Protocol

from evaluators.fleet import Fleet
from evaluators.scenario import Scenario
from evaluators.sim.cluster_reports import NO_LOAD, Load
from evaluators.sim.ledger import Ledger
from evaluators.sim.recorder import Recorder
from evaluators.sim.run import Run
from evaluators.workloads.trace import FOREVER_PS

NEVER = FOREVER_PS
"""A time in picoseconds that no simulation reaches."""


class Carried(NamedTuple):
    """A request without its KV, and how far it had come.

    Its next token needs its prompt and its generated tokens computed again.
    """

    row: int
    generated: int
    last_token_ps: int


class Replica(Protocol):
    """What a fleet asks of an engine, whichever it is."""

    @property
    def record(self) -> Recorder:
        """Its steps and decisions."""
        ...

    @property
    def questions(self) -> int:
        """Questions that its own policies were asked."""
        ...

    @property
    def peak_blocks(self) -> int:
        """Most KV blocks that were in use."""
        ...

    @property
    def held_blocks(self) -> int:
        """KV blocks in use."""
        ...

    @property
    def finished(self) -> list[int]:
        """Rows that ended, in order; the caller clears them."""
        ...

    def submit(self, row: int, at_ps: int) -> None:
        """A request is here from then on; not before a time that was advanced to."""
        ...

    def resubmit(self, request: Carried, at_ps: int) -> None:
        """The same for a request that was elsewhere before."""
        ...

    def advance(self, until_ps: int | None) -> None:
        """Take every step that ends by then, and begin the one that does not."""
        ...

    def earliest_finish_ps(self) -> int | None:
        """Time before which no request finishes, as things are; None when idle."""
        ...

    def quiet_until_ps(self) -> int:
        """Time before which advancing changes nothing, having advanced just now."""
        ...

    def load(self) -> Load:
        """Its state as far as it has advanced."""
        ...

    def cached_tokens(self, row: int) -> int:
        """Leading prompt tokens of a request that it has in memory."""
        ...

    def could_start(self, row: int, generated: int) -> bool:
        """Whether no other prompt is in its way, and a slot and memory are free."""
        ...

    def abandon(self) -> list[Carried]:
        """Stop for ever; the requests that were here, in order of arrival."""
        ...


Make = Callable[[Scenario, Ledger], Replica]
"""Makes the engine of one member's own scenario, on the ledger of all."""


class Members:
    """The engines of a fleet by index, None while one is down.

    An engine that is back is a new one: nothing of the old one's memory is left.
    ``bounds`` are times before which a replica finishes nothing; kept up to date only
    if ``watches``, as they cost a look into the engine. A replica is not asked to
    advance while it is quiet, nor again for a load that has not changed.
    """

    def __init__(
        self, scenario: Scenario, fleet: Fleet, ledger: Ledger, make: Make
    ) -> None:
        self._ledger, self._make = ledger, make
        self._scenarios = [
            replace(
                scenario,
                deployment=member.deployment,
                step_time=member.step_time,
                fleet=None,
            )
            for member in fleet.members
        ]
        self.engines: list[Replica | None] = []
        self._all: list[Replica] = []
        for own in self._scenarios:
            self.engines.append(self._made(own))
        self.watches = False
        self.bounds = [NEVER] * len(fleet.members)
        self._times_ps = [0] * len(fleet.members)
        self._quiet_ps = [0] * len(fleet.members)
        self._loads: list[Load | None] = [None] * len(fleet.members)
        self._caches = any(m.deployment.prefix_caching for m in fleet.members)
        self._no_tokens = [0] * len(fleet.members)

    def _made(self, scenario: Scenario) -> Replica:
        engine = self._make(scenario, self._ledger)
        self._all.append(engine)
        return engine

    def advance(self, index: int, until_ps: int | None) -> list[int]:
        """Let a replica come to a time; the requests that it finished, in order."""
        engine = self.engines[index]
        if engine is None:
            return []
        until = NEVER if until_ps is None else until_ps
        if until < self._quiet_ps[index]:
            self._times_ps[index] = until
            return []
        engine.advance(until_ps)
        self._times_ps[index] = until
        self._quiet_ps[index] = engine.quiet_until_ps()
        self._loads[index] = None
        finished = engine.finished[:]
        engine.finished.clear()
        if self.watches:
            self._bound(index)
        return finished

    def submit(self, index: int, request: Carried, at_ps: int) -> None:
        """Give a request to a healthy replica that has advanced no further."""
        engine = self.engines[index]
        assert engine is not None
        if request.generated or request.last_token_ps >= 0:
            engine.resubmit(request, at_ps)
        else:
            engine.submit(request.row, at_ps)
        self._quiet_ps[index] = min(self._quiet_ps[index], engine.quiet_until_ps())
        self._loads[index] = None
        if self.watches:
            self._bound(index)

    def lose(self, index: int) -> list[Carried]:
        """A replica is gone; the requests that it had."""
        engine = self.engines[index]
        assert engine is not None
        self.engines[index], self.bounds[index] = None, NEVER
        self._loads[index] = NO_LOAD
        return engine.abandon()

    def restore(self, index: int, at_ps: int) -> None:
        """A replica is back, with nothing in its memory."""
        engine = self._made(self._scenarios[index])
        self.engines[index] = engine
        engine.advance(at_ps)
        self._times_ps[index] = self._quiet_ps[index] = at_ps
        self._loads[index] = None

    def fits(self, index: int, row: int) -> bool:
        """Whether a replica could ever hold the request with its whole answer."""
        own = self._scenarios[index]
        trace = own.trace
        tokens = int(trace.prompt_tokens[row]) + int(trace.output_tokens[row]) - 1
        return -(-tokens // own.deployment.block_tokens) <= own.deployment.kv_blocks

    def loads(self) -> list[Load]:
        """State of every replica; all have advanced to the same time."""
        loads = self._loads
        for index, engine in enumerate(self.engines):
            if loads[index] is None and engine:
                loads[index] = engine.load()
        return [load or NO_LOAD for load in loads]

    def cached_tokens(self, row: int) -> list[int]:
        """Leading prompt tokens of a request that each replica has in memory."""
        if not self._caches:
            return self._no_tokens
        return [engine.cached_tokens(row) if engine else 0 for engine in self.engines]

    def run(self, questions: int) -> Run:
        """What happened on all replicas, the lost ones included."""
        return self._ledger.run(
            [engine.record for engine in self._all],
            questions=questions + sum(engine.questions for engine in self._all),
            peak_blocks=max(engine.peak_blocks for engine in self._all),
            end_blocks=sum(engine.held_blocks for engine in self.engines if engine),
        )

    def _bound(self, index: int) -> None:
        engine = self.engines[index]
        finish = engine.earliest_finish_ps() if engine else None
        after = self._times_ps[index] + 1
        self.bounds[index] = NEVER if finish is None else max(finish, after)
