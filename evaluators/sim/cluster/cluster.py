"""Several engines behind one router, in step as far as decisions need it.

Events are ordered by (time, kind, index), so that nothing hangs on the order in which
replicas were looked at. A replica advances only when its state is read, when it is
given a request, or when it may finish one that somebody waits for.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from evaluators.scenario import Scenario
from evaluators.sim.arrivals import Arrivals
from evaluators.sim.cluster.caches import knowledge
from evaluators.sim.cluster.events import Events, Kind
from evaluators.sim.cluster.members import Members
from evaluators.sim.cluster.migration import Migration
from evaluators.sim.cluster.moves import Desk, Move, Moves, Then
from evaluators.sim.cluster.replica import NEVER, Carried, Make
from evaluators.sim.cluster.reports import Reports
from evaluators.sim.cluster.routing import LeastOutstanding, RoutingPolicy, Rule
from evaluators.sim.laws import LawBrokenError
from evaluators.sim.ledger import Ledger
from evaluators.sim.run import Decision, Run
from evaluators.workloads.trace import PS_PER_S


class Cluster:
    """The router's side of a fleet: its events, and who has which request.

    ``_where`` is the replica of each request, ``_held`` those that nobody can take now.
    A finish ``_spawns`` an event where another request, or a replica, waits for it.
    """

    def __init__(
        self, scenario: Scenario, policy: RoutingPolicy, make: Make, rule: Rule
    ) -> None:
        fleet = scenario.fleet
        assert fleet is not None, "a scenario without a fleet"
        self._fleet, self._policy = fleet, policy
        self._ledger = Ledger(scenario)
        self._arrivals = Arrivals(scenario, fleet.most_blocks)
        self._members = Members(scenario, fleet, self._ledger, make)
        self._reports = Reports(scenario, fleet, self._ledger)
        self._caches = knowledge(scenario, fleet, self._members.engines)
        self._rule = rule
        self._usable = [member.role != "decode" for member in fleet.members]
        self._probe_ps = round(fleet.probe_s * PS_PER_S)
        self._where = [-1] * len(scenario.trace)
        self._carried: dict[int, Carried] = {}
        self._held: list[int] = []
        self._events = Events()
        counts = not policy.route and isinstance(rule, LeastOutstanding)
        self._hands_over = any(m.role == "prefill" for m in fleet.members)
        self._spawns = self._hands_over or not self._arrivals.are_open
        self._members.watches = counts or self._spawns
        self._moves = Moves(
            fleet, self._members, Desk(self._advance, self._move_later, self._moved)
        )
        self._reports.in_migrations = self._moves.incoming
        self._migration = Migration(
            fleet, policy, self._members, self._reports, self._moves
        )

    def serve(self) -> None:
        """Serve every request to the end."""
        self._ledger.rejected.extend(self._arrivals.rejected)
        if self._is_static():
            self._deal()
            return
        self._plan()
        while True:
            stop = self._next_stop()
            if not self._reach(stop):
                continue
            if stop == NEVER:
                return
            if self._reports_due(stop):
                self._sync(stop)
                self._reports.take(self._members.loads(), stop)
                self._caches.report()
                continue
            self._events.happen()

    def result(self) -> Run:
        """What happened, once everybody is served."""
        if not self._moves.keep_their_bandwidth:
            raise LawBrokenError("more bytes moved than a wire has bandwidth for")
        run = self._members.run(self._policy.questions)
        return replace(run, replica=np.array(self._where, dtype=np.int64))

    # -- time ---------------------------------------------------------------------

    def _is_static(self) -> bool:
        """Whether nothing that happens decides where a request goes."""
        asks = self._policy.route or self._migration.is_wanted
        return not (asks or self._fleet.losses or self._members.watches)

    def _deal(self) -> None:
        """Tell all replicas at once whom they will serve."""
        for at, row in self._arrivals.first:
            self._ledger.arrive(row, at)
            target = self._rule.choose(row, self._usable, self._reports.outstanding)
            self._give(at, row, target)
        self._sync(None)

    def _plan(self) -> None:
        for at, row in self._arrivals.first:
            self._events.push(at, Kind.ARRIVAL, row, self._arrive)
        for loss in self._fleet.losses:
            at = round(loss.at_s * PS_PER_S)
            self._events.push(at, Kind.LOSS, loss.replica, self._lose)
            if loss.back_s is not None:
                back = max(at + 1, round(loss.back_s * PS_PER_S))
                self._events.push(back, Kind.BACK, loss.replica, self._restore)
        if self._migration.is_wanted:
            self._events.push(self._migration.period_ps, Kind.TIMER, 0, self._migrate)

    def _next_stop(self) -> int:
        """Time of the next event, or of the reports that it needs; else NEVER.

        A request that finishes may lead to one.
        """
        event = self._events.next_ps
        at = min(event, *self._members.bounds) if self._spawns else event
        if at == NEVER:
            return NEVER
        due = self._reports.due_ps(at)
        return due if self._reports_due(due) else event

    def _reports_due(self, at_ps: int) -> bool:
        reports = self._reports
        return bool(
            (self._policy.route or self._migration.is_wanted)
            and reports.delay_ps
            and at_ps > reports.at_ps
            and at_ps % reports.delay_ps == 0
        )

    def _reach(self, stop: int) -> bool:
        """Let what happens before ``stop`` happen; False if an event came up before."""
        members = self._members
        if members.watches and not self._spawns and stop < NEVER:
            for index, bound in enumerate(members.bounds):
                if bound <= stop:
                    self._advance(index, stop)
            return True
        while members.watches:
            bound = min(members.bounds)
            if bound > stop or bound == NEVER:
                return True
            self._advance(members.bounds.index(bound), bound)
            if self._next_stop() < stop:
                return False
        if stop == NEVER:
            self._sync(None)
        return True

    def _sync(self, at_ps: int | None) -> None:
        for index in range(len(self._usable)):
            self._advance(index, at_ps)

    def _advance(self, index: int, at_ps: int | None) -> None:
        for row in self._members.advance(index, at_ps):
            finished = self._ledger.finished_ps[row]
            if finished < 0:
                engine = self._members.engines[index]
                progress = engine.how_far(row) if engine else None
                assert progress is not None
                self._events.push(
                    progress.last_token_ps, Kind.MOVE, row, self._hand_over, index
                )
                continue
            self._reports.outstanding[index] -= 1
            if self._hands_over:
                self._events.push(finished, Kind.PULL, index, self._pull)
            for at, follower in self._arrivals.after(row, finished):
                self._events.push(at, Kind.ARRIVAL, follower, self._arrive)

    # -- requests -------------------------------------------------------------------

    def _arrive(self, at_ps: int, row: int) -> None:
        self._ledger.arrive(row, at_ps)
        self._route(at_ps, row)

    def _route(self, at_ps: int, row: int) -> None:
        """Decide where a request goes: a new one, or one that lost its replica."""
        healthy = self._reports.healthy
        usable = [a and bool(b) for a, b in zip(self._usable, healthy, strict=True)]
        if not any(usable):
            self._held.append(row)
        elif not self._policy.route:
            target = self._rule.choose(row, usable, self._reports.outstanding)
            self._give(at_ps, row, target)
        else:
            self._sync(at_ps)
            route = self._policy.targets(*self._views(at_ps, row))
            if route.probes:
                self._probe(at_ps, row, route.targets, 0)
            else:
                self._give(at_ps, row, route.targets[0])

    def _views(self, at_ps: int, row: int) -> tuple[Any, Any]:
        reports, members = self._reports, self._members
        if not reports.delay_ps:
            reports.take(members.loads(), at_ps)
        arrived = self._ledger.arrived_ps[row]
        generated = self._carry(row).generated
        request = reports.request(row, at_ps, arrived, generated)
        return request, reports.replicas(self._caches.cached_tokens(row), at_ps)

    def _probe(
        self, at_ps: int, row: int, targets: tuple[int, ...], tried: int
    ) -> None:
        """Try the next of the targets; after the last one queue at the first."""
        index = targets[tried % len(targets)]
        self._advance(index, at_ps)
        engine = self._members.engines[index]
        if tried == len(targets):
            if engine:
                self._give(at_ps, row, index)
            else:
                self._route(at_ps, row)
        elif engine and engine.could_start(row, self._carry(row).generated):
            self._give(at_ps, row, index)
        else:
            later = at_ps + self._probe_ps
            self._events.push(later, Kind.PROBE, row, self._probe, targets, tried + 1)

    def _give(self, at_ps: int, row: int, index: int) -> None:
        """A replica gets a request, which it refuses if it could never hold it."""
        self._where[row] = index
        if not self._members.could_serve(index, row):
            self._refuse(row)
            return
        self._advance(index, at_ps)
        self._members.submit(index, self._carry(row), at_ps)
        self._reports.send(row, index)
        self._caches.send(row, index)

    def _carry(self, row: int) -> Carried:
        """How far a request has come that is on no replica."""
        return self._carried.get(row) or Carried(row, 0, -1)

    def _refuse(self, row: int) -> None:
        """A request, and those that would follow it, will never be served."""
        self._where[row] = -1
        self._ledger.rejected.append(row)
        for _, follower in self._arrivals.after(row, 0):
            self._refuse(follower)

    def _lose(self, at_ps: int, index: int) -> None:
        self._advance(index, at_ps)
        between = self._moves.lose(at_ps, index)
        for request in between:
            self._ledger.preemptions[request.row] += 1
            self._members.note(Decision(at_ps, "preempt", request.row))
            self._reports.outstanding[self._where[request.row]] -= 1
        carried = [*self._members.lose(index), *between]
        self._caches.lose(index)
        self._reports.healthy[index] = self._reports.outstanding[index] = 0
        for request in carried:
            self._carried[request.row] = request
            self._route(at_ps, request.row)
        self._moves.pull(at_ps)

    def _restore(self, at_ps: int, index: int) -> None:
        self._members.restore(index, at_ps)
        self._reports.healthy[index] = 1
        held, self._held = self._held, []
        for row in held:
            self._route(at_ps, row)
        self._moves.pull(at_ps)

    def _migrate(self, at_ps: int, index: int) -> None:
        """Ask the policy who should move, as long as anybody is served."""
        self._sync(at_ps)
        if len(self._events) or any(self._reports.outstanding):
            again = at_ps + self._migration.period_ps
            self._events.push(again, Kind.TIMER, index, self._migrate)
            self._migration.ask(at_ps)

    def _hand_over(self, at_ps: int, row: int, source: int) -> None:
        if self._members.engines[source] and self._where[row] == source:
            self._moves.hand_over(at_ps, row, source)

    def _pull(self, at_ps: int, _: int) -> None:
        self._moves.pull(at_ps)

    def _move_later(self, at_ps: int, row: int, then: Then, move: Move) -> None:
        self._events.push(at_ps, Kind.MOVE, row, then, move)

    def _moved(self, row: int, source: int, target: int) -> None:
        self._where[row] = target
        self._reports.outstanding[source] -= 1
        self._reports.outstanding[target] += 1
