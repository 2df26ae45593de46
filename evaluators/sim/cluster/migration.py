"""Asks a policy which requests move to another replica, and starts their moves."""

from evaluators.evaluation import PolicyError
from evaluators.fleet import Fleet
from evaluators.sim.cluster.members import Members
from evaluators.sim.cluster.moves import Move, Moves
from evaluators.sim.cluster.reports import Reports
from evaluators.sim.cluster.routing import RoutingPolicy
from evaluators.workloads.trace import PS_PER_S

MOST_IDLE = 100_000
"""Times that the timer may ring on a scenario with nobody to move.

The policy is not asked then, so no limit on its process would ever end a tiny period.
"""


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
        self._idle_left = MOST_IDLE

    def ask(self, at_ps: int) -> None:
        """Ask, all replicas having advanced to this time; nobody to move: no question.

        A request stays where the target is down, cannot hold it or computes prompts
        only. Raises ``PolicyError`` when nobody was there to move too often.
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
            self._idle_left -= 1
            if self._idle_left < 0:
                raise PolicyError(
                    "no_progress",
                    f"migrate_every_s is {self._policy.migrate_every_s:g}: {MOST_IDLE} "
                    "times there was nobody to move; make it longer",
                )
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
