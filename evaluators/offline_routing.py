"""What routing can reach at best: a search that knows the whole trace, as a reference.

A heavy offline balancer stands beside policies that must decide at once (Intelligent
Load Balancing, families.md 26): simulated annealing over the replica of every request,
scored as policies are. Its result lies between the best seed and the analytic bound,
and tells how much of the gap between these two is there to be had. It is no bound.
"""

import math
import sys
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from evaluators.evaluation import Outcome
from evaluators.fleet import Fleet, Member
from evaluators.fleet_bound import members_of
from evaluators.judging import judge
from evaluators.metrics import utility
from evaluators.problem import Exam
from evaluators.problems.load_balancing import outcome_of
from evaluators.rng import stream
from evaluators.scenario import Scenario
from evaluators.sim.cluster.engines import fast
from evaluators.sim.cluster.fleet import simulate_assigned
from evaluators.sim.compiled.coverage import CORE, WORTHWHILE, covers
from evaluators.sim.compiled.serve import serve
from evaluators.sim.run import Run
from evaluators.starvation import gate
from evaluators.views import Floats, Ints
from evaluators.workloads.relations import taken
from evaluators.workloads.trace import COLUMNS

WARM, COLD = 3e-4, 3e-6
"""Losses of score that are accepted once in e at the start and at the end."""
ROOM = 1 << 12
"""Events of one replica that the compiled core writes down at a time."""


class Plan(NamedTuple):
    """A replica for each request, shape (n,), and what the problem makes of it.

    ``evaluations`` are the assignments that were scored to find it.
    """

    replica: Ints
    outcome: Outcome
    evaluations: int


class _Times(NamedTuple):
    """Columns of a ``Run`` that decide a request's utility, shape (n,)."""

    first_token_ps: Ints
    finished_ps: Ints
    longest_gap_ps: Ints


def annealed(exam: Exam, start: Ints, evaluations: int, seed: int = 0) -> Plan:
    """The best assignment of so many scored, from ``start`` on; never worse than that.

    ``start`` holds a replica for each request, such as ``Run.replica`` of a policy;
    -1 is a request that nobody can serve. Equal arguments give equal plans. Replicas
    serve apart, so a step serves two of them anew. Raises ``ValueError`` where they do
    not: with sessions, roles or losses.
    """
    search = _Search(exam, start, evaluations)
    rng = stream(seed, "offline routing")
    best, best_score = search.replica.copy(), search.score
    for done in range(1, evaluations):
        warmth = WARM * (COLD / WARM) ** (done / evaluations)
        if search.step(rng, warmth) and search.score > best_score:
            best, best_score = search.replica.copy(), search.score
    return Plan(best, _outcome(exam, best, best_score), evaluations)


def assigned_outcome(exam: Exam, replica: Ints) -> Outcome:
    """What the fleet simulator and the problem make of an assignment."""
    scenario, standard = exam
    return judge(
        scenario,
        lambda: simulate_assigned(scenario, replica.tolist(), fast),
        lambda run: outcome_of(scenario, run, standard),
    )


def _outcome(exam: Exam, replica: Ints, score: float) -> Outcome:
    outcome = assigned_outcome(exam, replica)
    assert abs(outcome.score - score) < 1e-9, "replicas do not serve apart"
    return outcome


class _Search:
    """An assignment with its score, and what each replica makes of its part."""

    def __init__(self, exam: Exam, start: Ints, evaluations: int) -> None:
        self._scenario, self._standard = exam
        _check(self._scenario)
        self._run = simulate_assigned(self._scenario, start.tolist(), fast)
        self.replica = self._run.replica.copy()  # type: ignore[union-attr]
        self._rows = np.flatnonzero(self.replica >= 0)
        members = members_of(self._scenario)
        self._alone = [_alone(self._scenario, member) for member in members]
        requests = evaluations * len(self._scenario.trace)
        pays = CORE in sys.modules or requests >= WORTHWHILE
        compiles = pays and all(covers(each, None) for each in self._alone)
        self._serve = _compiled if compiles else _simulated
        self._times = _Times(*(getattr(self._run, name) for name in _Times._fields))
        self.score, self._utility = self._scored(self._times)

    def step(self, rng: np.random.Generator, warmth: float) -> bool:
        """Try another assignment; whether it was accepted."""
        replica = self._neighbour(rng)
        times = _Times(*(column.copy() for column in self._times))
        moved = np.flatnonzero(replica != self.replica)
        touched = {*self.replica[moved].tolist(), *replica[moved].tolist()}
        for index in sorted(touched):
            self._serve_one(times, replica, index)
        score, each = self._scored(times)
        if math.log(1 - rng.random()) * warmth > score - self.score:
            return False
        self.replica, self._times = replica, times
        self.score, self._utility = score, each
        return True

    def _neighbour(self, rng: np.random.Generator) -> Ints:
        """Another replica for a request, or one more, about where somebody is late."""
        rows, replica = self._rows, self.replica.copy()
        loss = 1.02 - self._utility[rows]
        place = int(rng.choice(len(rows), p=loss / loss.sum()))
        place = max(0, place - int(rng.exponential(4.0)))
        row, n = rows[place], len(self._alone)
        source = self.replica[row]
        target = (source + int(rng.integers(1, n))) % n
        replica[row] = target
        if rng.random() < 0.5:
            near = rows[max(0, place - 20) : place + 20]
            near = near[self.replica[near] == target]
            if len(near):
                replica[rng.choice(near)] = source
        return replica

    def _serve_one(self, times: _Times, replica: Ints, index: int) -> None:
        """Put in what one replica makes of its part."""
        rows = np.flatnonzero(replica == index)
        if len(rows):
            run = self._serve(_part(self._alone[index], rows))
            for name, column in zip(_Times._fields, times, strict=True):
                column[rows] = getattr(run, name)

    def _scored(self, times: _Times) -> tuple[float, Floats]:
        """Score as the problem has it, and the utility of each request."""
        never = tuple(np.flatnonzero(times.finished_ps < 0).tolist())
        run = replace(self._run, **times._asdict(), rejected=never)
        each = utility(self._scenario, run)
        barrier = gate(self._scenario, run, self._standard.tails)
        bound = self._standard.bound
        score = float(each.mean()) * barrier.factor / bound if bound > 0 else 1.0
        return score, each


def _alone(scenario: Scenario, member: Member) -> Scenario:
    """The same for one replica."""
    return replace(
        scenario,
        deployment=member.deployment,
        step_time=member.step_time,
        fleet=Fleet((member,)),
    )


def _part(scenario: Scenario, rows: Ints) -> Scenario:
    """The same with some of the requests."""
    trace = scenario.trace
    columns = {name: getattr(trace, name)[rows] for name in COLUMNS}
    chains = None if trace.prefixes is None else taken(trace.prefixes, rows)
    return replace(scenario, trace=replace(trace, **columns, prefixes=chains))


def _compiled(scenario: Scenario) -> Run:
    return serve(scenario, ROOM)


def _simulated(scenario: Scenario) -> Run:
    return simulate_assigned(scenario, [0] * len(scenario.trace), fast)


def _check(scenario: Scenario) -> None:
    """Raise ``ValueError`` where a replica's part depends on what the others do."""
    fleet = scenario.fleet
    if fleet is None or len(fleet.members) < 2:
        raise ValueError(f"scenario {scenario.name} has no fleet of two or more")
    is_apart = all(member.role == "mixed" for member in fleet.members)
    if scenario.trace.sessions is not None or fleet.losses or not is_apart:
        raise ValueError(
            f"scenario {scenario.name} has sessions, losses or roles; an assignment "
            "decides nothing by itself there"
        )
