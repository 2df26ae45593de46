"""No problem shows the future on any workload, and no policy reaches what it is shown.

What is compared are the bytes that cross to a policy's process.
"""

import os
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from adrs.exams import service
from adrs.settings import Arguments, groups, settings
from adrs.workloads import configured
from evaluators.mirror import Teller
from evaluators.problems import load, names
from evaluators.splits import Plan, draw_split
from evaluators.workloads.trace import PS_PER_S
from tests.laws.futures import another_future

N_REQUESTS = 24
RATE_PER_S = 10.0
DATA = os.environ.get("ADRS_DATA")
MEMBERS = {
    member: settings("workload", Arguments((), (f"workload={member}",))).workload
    for member in groups("workload")["workload"]
}
RECORDED = [member for member, section in MEMBERS.items() if "data" in section]
DRAWN = sorted(MEMBERS.keys() - set(RECORDED))
MEMBERS["short sessions"] = {
    **MEMBERS["agents"],
    **{"requests": 3.0, "tool_share": 0.6},
}
"""Many that begin at about the same time and go on for a few turns, unlike agents."""


def answer(hook, views):
    """Something feasible that depends on what is shown."""
    rows = len(views[0]) if hasattr(views[0], "__len__") else 0
    columns = hook.returns in ("keys", "values") and views[0].columns()
    match hook.returns:
        case "keys" | "values":
            first = next(c.name for c in columns if c.name != "id")
            return np.asarray(getattr(views[0], first), dtype=np.float64) * -1.0
        case "count":
            return 512
        case "index":
            return int(np.argmin(views[1].outstanding))
        case "pairs":
            n = len(views[1].outstanding)
            return [(0, (int(views[0].replica[0]) + 1) % n)] if rows else []
        case "modes":
            return np.zeros(rows, dtype=np.int64)
    return None


class Witness:
    """Answers every hook of a problem and writes down when it was shown what."""

    migrate_every_s = 0.3

    def __init__(self, problem, shown=lambda view: None):
        self.seen, teller = [], Teller()
        # A whole plan stands instead of the other hooks; fuzzed plans are watched by
        # the test beside this one.
        for hook in problem.hooks:
            if hook.returns != "grants":
                setattr(self, hook.name, self.asked(hook, teller, shown))

    def asked(self, hook, teller, shown):
        def called(*views):
            told = teller.told(hook.arguments, views)
            self.seen.append((hook.name, now_s(views), told))
            answered = answer(hook, views)
            for view in views:
                shown(view)
            return answered

        called.__name__ = hook.name
        return called


def now_s(views):
    times = [view if isinstance(view, float) else vars_of(view) for view in views]
    return next((time for time in times if time is not None), None)


def vars_of(view):
    return getattr(view, "now_s", None) if hasattr(type(view), "parts") else None


@cache
def typed(name):
    return settings("evolve", Arguments((), (f"problem={name}",)))


@cache
def workload(member):
    return configured(MEMBERS[member], DATA)


def served(name, member):
    """A busy scenario of a problem on a workload, memory tight."""
    deployment, problem = typed(name).deployment, dict(typed(name).problem)
    plan, serves = Plan(1, N_REQUESTS, (1.0,)), service(deployment, problem)
    (scenario,) = draw_split(
        workload(member), serves, "validation", plan, RATE_PER_S, b"k"
    )
    trace = scenario.trace
    most = int(scenario.blocks_for(trace.prompt_tokens + trace.output_tokens).max())
    serves = service(deployment, {**problem, "kv_blocks": int(most * 1.1) + 8})
    return replace(scenario, deployment=serves.deployment, fleet=serves.fleet)


def check_past(name, member):
    problem, scenario = load(name), served(name, member)
    witness = Witness(problem)
    run = problem.serve(witness, scenario)
    asked_s = [at_s for _, at_s, _ in timed(witness)]
    until_ps = int(np.sort(run.arrived_ps)[N_REQUESTS * 2 // 3])
    if asked_s and sorted(asked_s)[: len(asked_s) // 4][-1:] >= [until_ps / PS_PER_S]:
        until_ps = round(float(np.median(asked_s)) * PS_PER_S)
    return same_past(problem, scenario, (witness, run), until_ps)


def same_past(problem, scenario, seen, until_ps):
    """What was seen by then, which must be the same before another future."""
    witness, run = seen
    other = Witness(problem)
    problem.serve(other, another_future(scenario, run, until_ps))
    logs = [
        [each for each in timed(log) if each[1] * PS_PER_S < until_ps]
        for log in (witness, other)
    ]
    assert logs[0] == logs[1]
    return len(logs[0])


def timed(witness):
    """What was seen, with its time; what has none is told with what follows."""
    found, at_s = [], None
    for name, now, told in reversed(witness.seen):
        at_s = at_s if now is None else now
        found.append((name, at_s, told))
    return found[::-1]


@pytest.mark.parametrize("name", names())
def test_equal_pasts_give_equal_bytes_on_every_workload_that_is_drawn(name):
    assert sum(check_past(name, member) for member in DRAWN) > 100


@pytest.mark.parametrize("name", names())
def test_no_turn_that_is_still_to_come_shows_at_any_time(name):
    problem, scenario = load(name), served(name, "short sessions")
    witness = Witness(problem)
    run = problem.serve(witness, scenario)
    times_ps = np.sort(run.arrived_ps)[4:-1:5].tolist()
    seen = [same_past(problem, scenario, (witness, run), at_ps) for at_ps in times_ps]
    assert sum(seen) > 40


@pytest.mark.slow
@pytest.mark.parametrize("member", RECORDED)
@pytest.mark.parametrize("name", names())
def test_equal_pasts_give_equal_bytes_on_every_recorded_workload(name, member):
    if not DATA:
        pytest.skip("ADRS_DATA names no folder of recorded traces")
    try:
        workload(member)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    check_past(name, member)


def scribble(view):
    """Overwrite every array of a view, by force where it is read-only."""
    if not hasattr(type(view), "parts"):
        return
    arrays = [each for each in view.parts() if isinstance(each, np.ndarray)]
    if hasattr(type(view), "columns"):
        arrays += [getattr(view, column.name) for column in view.columns()]
    for array in arrays:
        if isinstance(array, np.ndarray) and array.ndim:
            try:
                array.setflags(write=True)
                array[...] = 0
            except ValueError:
                continue


@pytest.mark.parametrize("name", names())
def test_a_policy_that_overwrites_what_it_is_shown_changes_nothing(name):
    problem, scenario = load(name), served(name, problem_workload(name))
    honest, vandal = Witness(problem), Witness(problem, scribble)
    runs = [problem.serve(policy, scenario) for policy in (honest, vandal)]
    assert np.array_equal(runs[0].finished_ps, runs[1].finished_ps)
    assert [each[:2] for each in honest.seen] == [each[:2] for each in vandal.seen]
    assert len(honest.seen) > 10


def problem_workload(name):
    return "synthetic" if name == "scheduling" else "shared_documents"
