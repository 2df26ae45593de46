"""Asks a policy which requests move to another replica, and starts their moves."""

from evaluators.fleet import Fleet
from evaluators.sim.cluster.members import Members
from evaluators.sim.cluster.moves import Move, Moves
from evaluators.sim.cluster.reports import Reports
from evaluators.sim.cluster.routing import RoutingPolicy
from evaluators.workloads.trace import PS_PER_S


class Migration:
    """The policy's timer; it is not wanted where there is no wire, or no such hook."""

    def __init__(
        self,
        fleet: Fleet,
        policy: RoutingPolicy,
        members: Members,
        reports: Reports,
        moves: Moves,
    ) -> None:
        self._fleet, self._policy = fleet, policy
        self._members, self._reports, self._moves = members, reports, moves
        self.is_wanted = bool(policy.migrate and fleet.wire)
        self.period_ps = max(1, round(policy.migrate_every_s * PS_PER_S))

    def ask(self, at_ps: int) -> None:
        """Ask, all replicas having advanced to this time; nobody to move: no question.

        A request stays where the target is down, cannot hold it or computes prompts
        only.
        """
        reports, members = self._reports, self._members
        if not reports.delay_ps:
            reports.take(members.loads(), at_ps)
        found = [
            (place, progress)
            for place, engine in enumerate(members.engines)
            for progress in (engine.decoding() if engine else ())
            if progress.row not in self._moves
        ]
        if not found:
            return
        replicas = reports.replicas([0] * len(members.engines), at_ps)
        wanted = self._policy.moves(reports.movable(found), replicas)
        for which, target in wanted.tolist():
            source, progress = found[which]
            if source != target and self._could_go_on(target, progress.row):
                self._moves.start(at_ps, Move(progress.row, source, target))

    def _could_go_on(self, target: int, row: int) -> bool:
        if self._fleet.members[target].role == "prefill":
            return False
        is_up = self._members.engines[target] is not None
        return is_up and self._members.fits(target, row)
