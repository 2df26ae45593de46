"""The compiled core against the plain engine: equal on every request."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluators.calibration.step_time import StepTime
from evaluators.evaluation import PolicyError
from evaluators.fleet import Fleet, Loss, Member
from evaluators.scenario import Scenario
from evaluators.sim.cluster.engines import plain
from evaluators.sim.cluster.fleet import simulate_fleet
from evaluators.sim.compiled.coverage import WORTHWHILE, covers, pays
from evaluators.sim.laws import check
from evaluators.sim.plain.engine import simulate_plainly
from evaluators.sim.run import Run
from evaluators.workloads.prefixes import Prefixes, Sessions
from tests.sim.builders import served
from tests.sim.fleets import with_sessions
from tests.sim.fuzzed import echoing, fuzzed_scenario, with_prefixes

pytest.importorskip("numba")
from evaluators.sim.compiled.serve import serve

COLUMNS = (
    "arrived_ps",
    "admitted_ps",
    "first_token_ps",
    "finished_ps",
    "longest_gap_ps",
    "preemptions",
    "stall_ps",
    "hit_tokens",
    "rejected",
    "replica",
    "questions",
    "iterations",
    "peak_blocks",
    "end_blocks",
)
ROOT = Path(__file__).parents[2]
SMALL = served([(0, 3, 40), (2, 5, 30)])


def fuzzed(seed: int) -> Scenario:
    """A fuzzed scenario, in turns with sessions, a prefix cache and a fleet.

    In every fifth, requests continue outputs that are being generated.
    """
    echoes = seed % 5 == 0
    scenario = echoing(seed) if echoes else fuzzed_scenario(seed)
    if seed % 3 and not echoes:
        scenario = with_prefixes(scenario, seed)
    if seed % 4 == 0:
        scenario = with_sessions(scenario, np.random.default_rng((seed, 21)))
    members = (0, 0, 1, 2, 3, 5)[seed % 6]
    return fleet_of(scenario, members, seed // 6 % 2 == 0) if members else scenario


def fleet_of(scenario: Scenario, members: int, balances: bool) -> Scenario:
    """The scenario served by so many engines of its own kind."""
    member = Member(scenario.deployment, scenario.step_time)
    rule = "least_outstanding" if balances else "round_robin"
    return replace(scenario, fleet=Fleet((member,) * members, rule=rule))


def plainly(scenario: Scenario, policy: object) -> Run:
    if scenario.fleet:
        return simulate_fleet(scenario, policy, plain)
    return simulate_plainly(scenario, policy)


def outcome(engine, scenario, *further) -> Run | str:
    try:
        return engine(scenario, *further)
    except PolicyError as error:
        return str(error)


def agrees(scenario: Scenario, *, room: int = 1 << 16) -> Run | str:
    """What the core makes of a scenario, checked against the plain engine."""
    assert covers(scenario, None)
    run = outcome(serve, scenario, room)
    oracle = outcome(plainly, scenario, None)
    if isinstance(run, str) or isinstance(oracle, str):
        assert run == oracle
        return run
    for name in COLUMNS:
        one, other = getattr(run, name), getattr(oracle, name)
        assert np.array_equal(one, other), f"{scenario.name}: {name}"
    assert sorted(run.decisions) == sorted(oracle.decisions)
    assert sorted(run.broken_gaps_ps) == sorted(oracle.broken_gaps_ps)
    for one, other in zip(run.steps_of, oracle.steps_of, strict=True):
        assert one.count.sum() == other.count.sum()
        assert (one.count * one.gaps).sum() == (other.count * other.gaps).sum()
    check(scenario, run)
    return run


@pytest.mark.parametrize(
    "block", [0, 1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))]
)
def test_the_compiled_core_equals_the_plain_engine(block):
    preemptions = skipped = hits = 0
    for seed in range(80 * block, 80 * block + 80):
        run = agrees(fuzzed(seed))
        preemptions += int(run.preemptions.sum())
        hits += int(run.hit_tokens.sum())
        skipped += run.iterations - len(run.steps.count)
    assert preemptions > 60
    assert hits > 2000
    assert skipped > 1000


@pytest.mark.slow
def test_the_compiled_core_equals_the_plain_engine_ten_thousand_times():
    for seed in range(10_000, 20_000):
        agrees(fuzzed(seed))


def test_what_it_writes_down_is_collected_in_parts():
    for seed in range(24):
        agrees(fuzzed(seed), room=1)


@pytest.mark.parametrize(
    ("tokens", "end"), [(170_000, "20000 steps without"), (25_000, "four times")]
)
def test_an_engine_that_gets_nowhere_is_ended(tokens, end):
    prompt = served([(0, tokens, 1)], max_step_tokens=1, kv_blocks=200_000)
    assert end in agrees(prompt)


class Ranks:
    def admit_key(self, waiting, engine):
        return waiting.prompt_tokens


def test_only_built_in_rules_are_covered():
    assert covers(SMALL, None)
    assert covers(SMALL, object())
    assert covers(replace(SMALL, id_key=b"no policy, no ids"), None)
    assert not covers(SMALL, Ranks())
    assert not covers(replace(SMALL, companions={"eviction": "class A: pass"}), None)


def test_only_fleets_of_equal_lasting_members_are_covered():
    fleet = fleet_of(SMALL, 3, balances=True).fleet
    other = Member(replace(SMALL.deployment, kv_blocks=7), SMALL.step_time)
    mixed = replace(fleet, members=(fleet.members[0], other))
    lossy = replace(fleet, losses=(Loss(0, 1.0),))
    assert covers(replace(SMALL, fleet=fleet), None)
    assert not covers(replace(SMALL, fleet=mixed), None)
    assert not covers(replace(SMALL, fleet=lossy), None)


def test_what_it_does_not_know_is_not_covered(monkeypatch):
    from evaluators.sim.compiled import coverage

    known = coverage.KNOWN | {type(SMALL): coverage.KNOWN[type(SMALL)] - {"n_tenants"}}
    monkeypatch.setattr(coverage, "KNOWN", known)
    assert covers(SMALL, None)
    assert not covers(replace(SMALL, n_tenants=2), None)


def test_it_pays_for_long_traces_and_once_it_is_loaded():
    asked = "from evaluators.sim.compiled.coverage import pays\n"
    asked += "from tests.sim.builders import served\n"
    asked += f"print([pays(served([(0, 1, 1)] * n)) for n in (9, {WORTHWHILE})])"
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "[False, True]\n", done.stderr
    serve(SMALL)
    assert pays(SMALL)


def test_times_that_leave_64_bits_are_refused_not_wrapped():
    too_long = StepTime(tokens_ps=(1 << 62,))
    assert not covers(replace(SMALL, step_time=too_long), None)
    for price in ("beside_decode_ps", "beside_context_ps"):
        too_long = StepTime(tokens_ps=(1,), **{price: 1 << 62})
        assert not covers(replace(SMALL, step_time=too_long), None)
    long = replace(SMALL, step_time=StepTime(tokens_ps=(1 << 60,)))
    assert covers(long, None)
    with pytest.raises(OverflowError, match="lasts longer than"):
        serve(long)
    waits = Sessions(np.array([-1, 0]), np.array([0, (1 << 62) - 1]), np.zeros(2))
    late = replace(SMALL, trace=replace(SMALL.trace, sessions=waits))
    assert covers(late, None)
    with pytest.raises(OverflowError, match="lasts longer than"):
        serve(late)


def test_contents_that_leave_64_bits_are_refused_not_wrapped():
    far = Prefixes(1, np.array([0, 1, 1]), np.array([1 << 62]))
    scenario = replace(SMALL, trace=replace(SMALL.trace, prefixes=far))
    caching = replace(scenario.deployment, prefix_caching=True)
    assert covers(scenario, None)
    assert not covers(replace(scenario, deployment=caching), None)
