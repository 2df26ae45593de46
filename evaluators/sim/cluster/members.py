"""The replicas of a fleet: engines that advance on their own, and may be lost."""

from dataclasses import replace

from evaluators.fleet import Fleet
from evaluators.scenario import Scenario
from evaluators.sim.cluster.replica import NEVER, NO_LOAD, Carried, Load, Make, Replica
from evaluators.sim.host.copies import together
from evaluators.sim.ledger import Ledger
from evaluators.sim.run import Decision, Run


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
        self._lists_caches = fleet.lists_caches
        self._roles = [member.role for member in fleet.members]
        self.prompt_tokens: list[int] = scenario.trace.prompt_tokens.tolist()
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

    def _made(self, scenario: Scenario) -> Replica:
        engine = self._make(scenario, self._ledger)
        if self._lists_caches and engine.cache:
            engine.cache.changes()  # it lists them from now on
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
        self._quiet_ps[index] = engine.quiet_until_ps
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
        if self._roles[index] == "prefill":
            engine.leaves_after_prompt(request.row)
        if request.generated or request.last_token_ps >= 0:
            engine.resubmit(request, at_ps)
        else:
            engine.submit(request.row, at_ps)
        self.changed(index)

    def changed(self, index: int) -> None:
        """Something was done to a replica that it did not do itself."""
        engine = self.engines[index]
        assert engine is not None
        self._quiet_ps[index] = min(self._quiet_ps[index], engine.quiet_until_ps)
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

    def note(self, decision: Decision) -> None:
        """Record what happened to a request that was on no replica."""
        self._all[0].record.decisions.append(decision)

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

    def could_serve(self, index: int, row: int) -> bool:
        """Whether a replica could hold the request to its end, or hand it over."""
        decoders = [i for i, role in enumerate(self._roles) if role == "decode"]
        if self._roles[index] != "prefill":
            return self.fits(index, row)
        return self.fits(index, row) and any(self.fits(i, row) for i in decoders)

    def loads(self) -> list[Load]:
        """State of every replica; all have advanced to the same time."""
        loads = self._loads
        for index, engine in enumerate(self.engines):
            if loads[index] is None and engine:
                loads[index] = engine.load
        return [load or NO_LOAD for load in loads]

    def run(self, questions: int) -> Run:
        """What happened on all replicas, the lost ones included."""
        run = self._ledger.run(
            [engine.record for engine in self._all],
            questions=questions + sum(engine.questions for engine in self._all),
            peak_blocks=max(engine.peak_blocks for engine in self._all),
            end_blocks=sum(engine.held_blocks for engine in self.engines if engine),
        )
        copies = [engine.copies for engine in self._all]
        return replace(run, copies=together([c for c in copies if c is not None]))

    def _bound(self, index: int) -> None:
        engine = self.engines[index]
        finish = engine.earliest_finish_ps() if engine else None
        after = self._times_ps[index] + 1
        self.bounds[index] = NEVER if finish is None else max(finish, after)
