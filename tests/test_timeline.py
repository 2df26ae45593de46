"""A timeline holds every request's whole life, and what the engine did."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from adrs.timeline import ENGINE, REQUESTS, render
from evaluators.calibration.step_time import StepTime
from evaluators.fleet import Fleet, Member
from evaluators.scenario import Deployment, Scenario, ServiceClass
from evaluators.sim.cluster.engines import fast
from evaluators.sim.cluster.fleet import simulate_fleet
from evaluators.sim.engine import simulate
from evaluators.workloads.trace import PS_PER_S, Trace

N = 12


def tight():
    """Twelve requests at once in a memory that forces preemptions."""
    ones = np.ones(N, dtype=np.int64)
    trace = Trace(0 * ones, 64 * ones, 80 * ones, 80 * ones, 0 * ones, 0 * ones)
    return Scenario(
        name="tight",
        split="train",
        regime=1.0,
        trace=trace,
        deployment=Deployment("small", kv_blocks=40),
        step_time=StepTime(tokens_ps=(PS_PER_S // 100,)),
        classes=(ServiceClass("only", 1.0, 0.1, 0.5, "made up"),),
        calibration="constant",
    )


@pytest.fixture(scope="module")
def timeline():
    scenario = tight()
    run = simulate(scenario, None)
    assert run.preemptions.sum() > 0
    return run, json.loads(render(scenario, run))["traceEvents"]


def spans(events, row):
    found = [e for e in events if e["ph"] == "X" and e["tid"] == row]
    assert {e["pid"] for e in found} <= {REQUESTS}
    return sorted(found, key=lambda e: e["ts"])


def test_a_request_is_somewhere_from_its_arrival_to_its_end(timeline):
    run, events = timeline
    for row in range(N):
        life = spans(events, row)
        assert life[0]["ts"] == 0
        end = life[-1]["ts"] + life[-1]["dur"]
        assert end == pytest.approx(run.finished_ps[row] / 1e6)
        for before, after in pairwise(life):
            assert before["ts"] + before["dur"] == pytest.approx(after["ts"])


def test_every_preemption_is_a_span(timeline):
    run, events = timeline
    shown = [e for e in events if e["name"] == "preempted"]
    assert len(shown) == run.preemptions.sum()


def test_the_engine_counters_end_at_zero(timeline):
    _, events = timeline
    counters = [e for e in events if e["ph"] == "C"]
    assert {e["pid"] for e in counters} == {ENGINE}
    last = {e["name"]: e["args"][e["name"]] for e in counters}
    assert set(last) == {"decoding requests", "prefill tokens", "step ms"}
    assert set(last.values()) == {0}


def test_a_fleet_has_counters_of_each_replica_and_says_who_served_what():
    scenario = tight()
    members = (Member(scenario.deployment, scenario.step_time),) * 3
    scenario = replace(scenario, fleet=Fleet(members))
    run = simulate_fleet(scenario, None, fast)
    events = json.loads(render(scenario, run))["traceEvents"]
    names = [e["args"]["name"] for e in events if e["name"] == "process_name"]
    assert [name for name in names if name.startswith("replica")] == [
        f"replica {number}, mixed, small" for number in range(3)
    ]
    counters = {e["pid"] for e in events if e["ph"] == "C"}
    assert counters == {ENGINE, ENGINE + 1, ENGINE + 2}
    titles = [e["args"]["name"] for e in events if e["name"] == "thread_name"]
    for row, title in enumerate(titles):
        assert title.endswith(f", replica {run.replica[row]}")
