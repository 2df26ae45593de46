"""A problem small enough to see through: each answered number counts."""

import numpy as np

from evaluators.calibration.step_time import StepTime
from evaluators.evaluation import Outcome, PolicyError
from evaluators.problem import Exam, Standard
from evaluators.problems.scheduling import MANNERS
from evaluators.scenario import Deployment, Scenario, ServiceClass
from evaluators.sim.hooks import HOOKS, VIEWS, Policy
from evaluators.views import (
    TENANT_COLUMNS,
    Engine,
    EngineFacts,
    Running,
    Table,
    Waiting,
)
from evaluators.workloads.trace import Trace

FACTS = EngineFacts(
    np.array([1000.0, 16.0, 8.0, 512.0, 0.3, 0.0, 0.0]), np.ones((3, 2))
)
HONEST = '''"""Shortest first."""


class Shortest:
    def __init__(self):
        self.seen = 0

    def admit_key(self, waiting, engine):
        self.seen += len(waiting)
        return waiting.prompt_tokens * 1.0 + engine.now_s * self.seen
'''


def exam(rows=12, name="tiny"):
    """An exam of the tiny problem over ``rows`` requests."""
    rng = np.random.default_rng(rows)
    columns = [np.sort(rng.integers(0, 10**12, rows))]
    columns += [rng.integers(1, 1000, rows) for _ in range(3)]
    trace = Trace(*columns, np.zeros(rows), rng.integers(0, 2, rows))
    classes = tuple(ServiceClass(c, 1.0, 0.1, 0.5, "made up") for c in "ab")
    deployment = Deployment("d", 1000, max_running=2)
    scenario = Scenario(
        name, "train", 1.0, trace, deployment, StepTime((10**10,)), classes, "none"
    )
    return Exam(scenario, Standard(1.0, {}))


class Tiny:
    """Asks each hook once per arrival; the score depends on every number answered."""

    name = "tiny"
    brief = ""
    hooks = HOOKS
    manners = MANNERS
    views = VIEWS

    def standard(self, scenario):
        return Standard(1.0, {})

    def evaluate(self, policy, scenario, standard):
        try:
            return Outcome(scenario.name, 1.0, _score(policy, scenario), {"n": 1.0})
        except PolicyError as error:
            failure = error.failure
            return Outcome(scenario.name, 1.0, 0.0, {}, "generic", failure)


def _score(policy, scenario):
    checked = Policy(policy)
    trace, table = scenario.trace, Table(len(scenario.trace))
    total = 0.0
    for now in range(1, len(trace) + 1):
        engine = _arrive(table, trace, now - 1)
        rows = np.arange(now)
        waiting = Waiting(table, rows, (rows % 3,))
        running = Running(table, rows, (rows + 1, rows + 2, rows + 3, rows / 7))
        total += float(_answers(checked, waiting, running, engine).sum())
    return 1 / (1 + abs(total) % 1000)


def _arrive(table, trace, row):
    table.ints[:, row] = row + 1, trace.prompt_tokens[row], row, 0, 0, 0, 1, -1, -1
    table.floats[:, row] = trace.arrived_ps[row] / 1e12, 1.5, np.nan
    table.changed.append(row)
    scalars = np.array([row / 3, 5.0, row + 1, row + 1, 0, 0, 0.1])
    return Engine(
        FACTS, scalars, np.full((len(TENANT_COLUMNS), 3), row, dtype=np.int64)
    )


def _answers(checked, waiting, running, engine):
    numbers = [np.zeros(1)]
    keys, budget, cap = checked.admission(waiting, engine)
    numbers += [np.array([n]) for n in (budget, cap) if n is not None]
    if keys is not None:
        numbers.append(np.cumsum(np.minimum(keys, 1e6)) / np.arange(1, len(keys) + 1))
    if checked.victim_key:
        numbers.append(checked.ranks(checked.victim_key, running, engine))
    if checked.schedule:
        numbers += checked.plan(waiting, running, engine)
    return np.concatenate(numbers)


PROBLEM = Tiny()
