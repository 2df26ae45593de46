"""Views as an engine shows them, and a policy asked everything it has hooks for."""

import numpy as np

from evaluators import rng, views
from evaluators.problem import Problem
from evaluators.sim.hooks import Policy


def engine(draws: np.random.Generator, n: int) -> views.Engine:
    constants = np.array([1000.0, 16.0, 64.0, 2048.0, 0.5, 0.0, 0.0])
    classes = np.array([[1.0, 10.0], [0.05, 0.2], [0.1, 1.0]])
    scalars = np.array([50.0, 300.0, n, n, n // 2, 9000.0, 0.02])
    tenants = draws.integers(0, 90, (len(views.TENANT_COLUMNS), 3))
    return views.Engine(views.EngineFacts(constants, classes), scalars, tenants)


def table(draws: np.random.Generator, n: int) -> views.Table:
    rows = views.Table(n)
    rows.ints[:] = draws.integers(0, 900, rows.ints.shape)
    rows.ints[3:5] = draws.integers(0, 2, (2, n))
    rows.floats[:] = draws.uniform(0, 50, rows.floats.shape)
    rows.floats[2, ::2] = np.nan
    return rows


def ask_everything(source: str, problem: Problem) -> dict[str, object]:
    """Answers of a policy to each of its hooks, checked as the engine checks them."""
    space: dict[str, object] = {"__name__": "policy"}
    exec(source, space)
    names = {hook.name for hook in problem.hooks}
    classes = [
        item
        for item in space.values()
        if isinstance(item, type) and names & set(vars(item))
    ]
    assert len(classes) == 1, "exactly one policy class"
    policy = Policy(classes[0]())
    answers: dict[str, object] = {}
    for n in (1, 7):
        draws = rng.stream(n, "views")
        facts, rows = table(draws, n), np.arange(n)
        waiting = views.Waiting(facts, rows, (rows * 16,))
        own = tuple(draws.integers(1, 90, n) for _ in range(3))
        last_s = draws.uniform(0, 50, n)
        running = views.Running(facts, rows, (*own, last_s))
        shown = engine(draws, n)
        if policy.admit_key:
            answers[f"admit{n}"] = policy.ranks(policy.admit_key, waiting, shown)
        if policy.victim_key:
            answers[f"victim{n}"] = policy.ranks(policy.victim_key, running, shown)
        answers[f"sizes{n}"] = policy.admission(None, shown)
        if policy.schedule:
            answers[f"plan{n}"] = policy.plan(waiting, running, shown)
    return answers
