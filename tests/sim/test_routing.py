"""What a router is told, and what becomes of its answers."""

from dataclasses import replace

import numpy as np
import pytest

from evaluators.calibration.step_time import StepTime
from evaluators.evaluation import PolicyError
from evaluators.fleet import Fleet, Loss, Member
from evaluators.scenario import Deployment, Scenario, ServiceClass
from evaluators.sim.cluster.engines import fast
from evaluators.sim.cluster.fleet import simulate_fleet
from tests.papers.routers import SEEDS, router
from tests.problems.builders import trace_of
from tests.sim.fleets import fuzzed_fleet

MS = 10**9
STEP = StepTime(decodes_ps=(10 * MS,), prefill_token_ps=MS // 10)
ANY = ServiceClass("any", 1.0, 0.1, 1.0, "made up")


def served_by(replicas, arrived_s, prompt=100, output=10, **rules) -> Scenario:
    """Steps of 10 ms, and 0.1 ms more for each prompt token."""
    engine = Deployment("made up", 1000, max_running=8)
    fleet = Fleet((Member(engine, STEP),) * replicas, **rules)
    trace = trace_of(arrived_s, prompt, output)
    return Scenario(
        "made up", "train", 1.0, trace, engine, STEP, (ANY,), "made up", fleet=fleet
    )


class Watching:
    """Sends everything to one replica and keeps what it was shown."""

    def __init__(self, answer=0):
        self.answer, self.seen = answer, []

    def route(self, request, replicas):
        self.seen.append((request, replicas))
        return self.answer


@pytest.mark.parametrize("rule", ["round_robin", "least_outstanding"])
def test_a_built_in_rule_and_its_seed_decide_alike(rule):
    for seed in range(60):
        exam = fuzzed_fleet(seed)
        exam = replace(exam, fleet=replace(exam.fleet, rule=rule))
        runs = [simulate_fleet(exam, policy, fast) for policy in (None, router(rule))]
        assert runs[0].replica.tolist() == runs[1].replica.tolist()
        assert runs[0].finished_ps.tolist() == runs[1].finished_ps.tolist()


def test_every_pair_of_seeds_decides_differently_somewhere():
    names = sorted(path.stem for path in SEEDS.glob("*.py"))
    exams = [fuzzed_fleet(seed) for seed in range(15)]
    made = {
        name: [simulate_fleet(e, router(name), fast).replica.tolist() for e in exams]
        for name in names
    }
    assert len(names) >= 12
    for one in names:
        for other in names:
            assert one == other or made[one] != made[other], (one, other)


def test_reports_are_of_the_last_multiple_of_the_delay():
    exam = served_by(2, [0.0, 0.03, 0.26, 0.27], report_delay_s=0.05)
    watching = Watching()
    simulate_fleet(exam, watching, fast)
    ages = [replicas.report_age_s[0] for _, replicas in watching.seen]
    assert ages == pytest.approx([0.0, 0.03, 0.01, 0.02])
    _, second, third, fourth = (replicas for _, replicas in watching.seen)
    assert second.running.tolist() == [0, 0] and second.sent.tolist() == [1, 0]
    assert second.sent_tokens.tolist() == [100, 0]
    assert second.outstanding.tolist() == [1, 0]
    assert third.outstanding.tolist() == third.running.tolist() == [0, 0]
    assert fourth.outstanding.tolist() == [1, 0]


def test_reports_without_delay_show_the_replicas_as_they_are():
    watching = Watching()
    simulate_fleet(served_by(2, [0.0, 0.015, 0.025]), watching, fast)
    _, second, third = (replicas for _, replicas in watching.seen)
    assert second.running.tolist() == [1, 0]
    assert second.queued_tokens.tolist() == [100, 0]
    assert third.decoding.tolist() == [1, 0] or third.waiting.tolist() == [1, 0]
    assert third.report_age_s.tolist() == [0.0, 0.0]


def test_what_a_router_sees_does_not_depend_on_what_comes_later():
    for seed in range(40):
        exam = fuzzed_fleet(seed)
        n = len(exam.trace)
        if exam.trace.sessions is not None or exam.trace.prefixes is not None or n < 4:
            continue
        at = int(exam.trace.arrived_ps[n // 2])
        later = exam.trace.arrived_ps > at
        other = replace(
            exam.trace,
            prompt_tokens=np.where(later, 1, exam.trace.prompt_tokens),
            arrived_ps=np.where(
                later, exam.trace.arrived_ps + 7, exam.trace.arrived_ps
            ),
        )
        seen = []
        for trace in (exam.trace, other):
            watching = Watching([0])
            watching.answer = np.zeros(1, dtype=int)
            fleet = replace(exam.fleet, losses=())
            scenario = replace(exam, trace=trace, fleet=fleet)
            simulate_fleet(scenario, watching, fast)
            seen.append([
                (request.parts()[0].tobytes(), replicas.parts()[0].tobytes())
                for request, replicas in watching.seen
                if request.now_s * 1e12 <= at
            ])
        assert seen[0] == seen[1]


def test_a_probe_is_taken_where_no_prompt_is_in_the_way():
    exam = served_by(3, [0.0, 0.001, 0.002, 0.003], probe_s=0.005)
    run = simulate_fleet(exam, Watching([0, 1, 2]), fast)
    assert run.replica.tolist() == [0, 1, 2, 0]
    waited_ms = (run.admitted_ps - run.arrived_ps) / MS
    assert waited_ms[:3] == pytest.approx([0, 5, 10])
    assert waited_ms[3] >= 15


def test_requests_of_a_lost_replica_go_on_elsewhere_without_their_kv():
    exam = served_by(2, [0.0], output=50, losses=(Loss(0, 0.1, 0.2),))
    run = simulate_fleet(exam, None, fast)
    assert run.replica.tolist() == [1]
    assert run.preemptions.tolist() == [1]
    recomputed = int((run.steps.prefill_tokens * run.steps.count).sum()) - 100
    assert recomputed > 100
    assert run.first_token_ps[0] < 0.1e12 < run.finished_ps[0]


def test_requests_wait_at_the_router_while_everybody_is_down():
    exam = served_by(1, [0.05], losses=(Loss(0, 0.01, 0.5),))
    run = simulate_fleet(exam, None, fast)
    assert run.admitted_ps[0] == 0.5e12


@pytest.mark.parametrize(
    "answer", [2, -1, 0.5, float("nan"), "zero", None, [], [[0]], [0] * 65, [0, 2]]
)
def test_an_answer_that_is_no_replica_is_the_policys_fault(answer):
    with pytest.raises(PolicyError) as caught:
        simulate_fleet(served_by(2, [0.0]), Watching(answer), fast)
    assert caught.value.failure.kind == "decision"


def test_a_replica_that_is_down_cannot_be_chosen():
    exam = served_by(2, [0.1], losses=(Loss(0, 0.0, 0.2),))
    with pytest.raises(PolicyError, match="which is down"):
        simulate_fleet(exam, Watching(0), fast)
