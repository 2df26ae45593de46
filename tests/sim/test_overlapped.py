"""Steps decided when the one before begins: the engines agree, and what comes later."""

from dataclasses import replace

import numpy as np
import pytest

from evaluators.fleet import Fleet, Member
from evaluators.host_memory import HostMemory
from evaluators.scenario import Deployment
from evaluators.sim.compiled.coverage import covers
from evaluators.sim.engine import simulate
from evaluators.sim.laws import check
from evaluators.sim.overlapped import OverlappedFastEngine
from evaluators.sim.plain.engine import simulate_plainly
from evaluators.sim.run import Run
from evaluators.solo import solo_ps
from tests.sim.builders import served
from tests.sim.fuzzed import (
    echoing,
    fuzzed_plan,
    fuzzed_policy,
    fuzzed_scenario,
    with_prefixes,
)
from tests.sim.test_advance import in_sessions
from tests.sim.test_engine import differences, ended
from tests.sim.test_host_fleet import CURVE


def overlapped(scenario):
    deployment = replace(scenario.deployment, async_scheduling=True)
    return replace(scenario, deployment=deployment)


def drawn(seed):
    """A fuzzed scenario, of some seeds with sessions, of some with a prefix cache."""
    scenario = in_sessions(seed) if seed % 3 == 0 else fuzzed_scenario(seed)
    return overlapped(with_prefixes(scenario, seed) if seed % 4 != 2 else scenario)


def apart(seed, scenario, policy):
    """What the plain engine and the one by aggregates differ in."""
    fast, plain = (ended(e, scenario, policy) for e in (simulate, simulate_plainly))
    found = differences(fast, plain)
    if not found and isinstance(fast, Run):
        check(scenario, fast)
        found += ["hits"] * (fast.hit_tokens.tolist() != plain.hit_tokens.tolist())
        found += ["outlived"] * (sorted(fast.outlived) != sorted(plain.outlived))
    return found, fast


@pytest.mark.parametrize("block", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_the_overlapped_engines_agree_on_every_request(block):
    preemptions = outlived = questions = skipped = hits = 0
    for seed in range(20 + 45 * block, 65 + 45 * block):
        found, run = apart(seed, drawn(seed), fuzzed_policy(seed))
        assert found == [], seed
        if isinstance(run, Run):
            preemptions += int(run.preemptions.sum())
            outlived += len(run.outlived)
            questions += run.questions
            skipped += run.iterations - len(run.steps.count)
            hits += int(run.hit_tokens.sum())
    assert min(preemptions, questions, skipped, hits) > 50
    assert outlived > 0


@pytest.mark.slow
def test_the_overlapped_engines_agree_ten_thousand_times():
    wrong = [
        seed
        for seed in range(10_000, 20_000)
        if apart(seed, drawn(seed), fuzzed_policy(seed))[0]
    ]
    assert wrong == []


def compiled(scenario):
    """What the machine code makes of it; None where it leaves it to the others."""
    pytest.importorskip("numba")
    from evaluators.sim.compiled.serve import serve

    return (
        ended(lambda s, _: serve(s), scenario, object)
        if covers(scenario, None)
        else None
    )


def test_the_machine_code_decides_ahead_as_the_plain_engine_does():
    preemptions = outlived = skipped = hits = left = 0
    for seed in range(90):
        scenario = drawn(seed)
        run, plain = compiled(scenario), ended(simulate_plainly, scenario, object)
        if run is None:
            left += 1
            continue
        assert differences(run, plain) == [], seed
        check(scenario, run)
        assert np.array_equal(run.hit_tokens, plain.hit_tokens), seed
        assert sorted(run.outlived) == sorted(plain.outlived), seed
        preemptions += int(run.preemptions.sum())
        outlived += len(run.outlived)
        skipped += run.iterations - len(run.steps.count)
        hits += int(run.hit_tokens.sum())
    assert min(preemptions, skipped, hits) > 50
    assert 0 < left < 60 and outlived > 0


def test_plans_and_outputs_that_others_continue_keep_the_laws():
    preemptions = 0
    for seed in range(40):
        scenarios = overlapped(fuzzed_scenario(seed)), overlapped(echoing(seed))
        for scenario, policy in zip(
            scenarios, (fuzzed_plan(seed), object), strict=True
        ):
            run = ended(simulate, scenario, policy)
            if isinstance(run, Run):
                check(scenario, run)
                preemptions += int(run.preemptions.sum())
    assert preemptions > 50


def test_the_engine_by_aggregates_serves_what_it_can():
    served_by = {
        (bool(scenario.deployment.prefix_caching), type(engine_of(scenario)).__name__)
        for scenario in map(drawn, range(12))
    }
    assert (False, OverlappedFastEngine.__name__) in served_by
    assert (True, OverlappedFastEngine.__name__) in served_by


def engine_of(scenario):
    from evaluators.sim.engine import engine_for, kv_cache
    from evaluators.sim.hooks import Policy

    return engine_for(scenario, Policy(None), kv_cache(scenario))


def test_a_lone_request_on_an_idle_engine_takes_as_long_as_ever():
    requests = [(k * 10**6, 1 + 40 * k, 1 + 7 * k) for k in range(6)]
    exam = served(requests, kv_blocks=500)
    run, early = simulate(overlapped(exam), None), simulate(exam, None)
    assert np.array_equal(run.finished_ps - run.arrived_ps, solo_ps(exam))
    assert np.array_equal(run.finished_ps, early.finished_ps)
    assert np.array_equal(run.first_token_ps, early.first_token_ps)


def test_an_arrival_at_a_busy_engine_has_its_first_token_one_step_later():
    # Steps of one request take 11 ps: the second arrives within the step from 42 to 53.
    exam = served([(0, 10, 60), (45, 10, 5)])
    early, late = simulate(exam, None), simulate(overlapped(exam), None)
    assert early.admitted_ps[1] == late.admitted_ps[1] == 53
    assert late.first_token_ps[1] - early.first_token_ps[1] == 11
    assert late.finished_ps[0] == early.finished_ps[0]


def test_who_finishes_keeps_its_place_for_a_step_more():
    exam = served([(0, 10, 3), (5, 10, 3), (5, 10, 30)], max_running=2)
    early, late = simulate(exam, None), simulate(overlapped(exam), None)
    waits = late.admitted_ps - late.finished_ps[0]
    assert early.admitted_ps[2] == early.finished_ps[0]
    assert waits[2] >= 0 and late.first_token_ps[2] > late.admitted_ps[2]
    step = np.searchsorted(late.steps.start_ps, late.admitted_ps[2])
    assert late.steps.prefill_tokens[step] == 0 < late.steps.prefill_tokens[step + 1]


def test_a_request_may_be_preempted_with_its_last_token_on_its_way():
    run = next(
        run
        for seed in range(200)
        if isinstance(run := ended(simulate, drawn(seed), object), Run) and run.outlived
    )
    row = run.outlived[0]
    last = [d for d in run.decisions if d.row == row][-1]
    assert last.kind == "preempt" and last.at_ps < run.finished_ps[row]


def test_host_memory_and_fleets_refuse_the_switch_by_its_name():
    with pytest.raises(ValueError, match="async_scheduling is on; an engine with host"):
        Deployment(
            "small", 10, host_memory=HostMemory(9, 1, CURVE), async_scheduling=True
        )
    late = overlapped(served([(0, 10, 5)]))
    fleet = Fleet((Member(late.deployment, late.step_time),))
    with pytest.raises(ValueError, match="a replica has async_scheduling, which only"):
        replace(late, fleet=fleet)
