"""No view tells the future: traces equal up to a time give equal views up to it."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from evaluators.evaluation import PolicyError
from evaluators.scenario import Scenario
from evaluators.sim.engine import simulate
from evaluators.views import Engine, Requests, table_of
from evaluators.workloads.trace import PS_PER_S, Trace
from tests.sim.fuzzed import fuzzed_plan, fuzzed_policy, fuzzed_scenario
from tests.sim.test_swapping import memory_of, moody, with_host


def whimsical(seed):
    """A policy that says what becomes of the KV of its victims, too."""
    return moody(fuzzed_policy(seed), seed)


ENOUGH = 500
"""Questions of a run that are compared; a plan that is stuck asks many more."""


class Witness:
    """A policy whose questions are written down, byte for byte, before it answers."""

    def __init__(self, policy):
        self.seen = []
        for name in ("ask", "holds_back"):
            if hasattr(policy, name):
                setattr(self, name, getattr(policy, name))
        hooks = ("admit_key", "victim_key", "token_budget", "prompt_cap", "schedule")
        for name in (*hooks, "preempt_mode"):
            if hasattr(policy, name):
                setattr(self, name, self.witnessing(name, getattr(policy, name)))

    def witnessing(self, name, hook):
        def asked(*views):
            told = [name]
            for view in views:
                if isinstance(view, Requests):
                    told += [part.tobytes() for part in table_of(view).drain()]
                    told += [getattr(view, c.name).tobytes() for c in view.columns()]
                told += [part.tobytes() for part in view.parts()]
            engine = next(view for view in views if isinstance(view, Engine))
            facts = [part.tobytes() for part in engine.facts]
            self.seen.append((engine.now_s, told + facts))
            if len(self.seen) > ENOUGH:
                raise PolicyError("no_progress", "enough was seen")
            return hook(*views)

        asked.__name__ = name
        return asked


def with_another_future(scenario: Scenario, from_row: int) -> Scenario:
    """The same until the request ``from_row`` arrives; all later ones are others."""
    trace, rng = scenario.trace, np.random.default_rng(from_row)
    n = len(trace) - from_row
    later = rng.integers(1, 9, (5, n + 3))
    start = trace.arrived_ps[from_row]
    columns = [np.concatenate([trace.arrived_ps[:from_row], start + np.sort(later[0])])]
    for name, values in zip(
        ("prompt_tokens", "output_tokens", "predicted_tokens", "tenant"),
        later[1:],
        strict=True,
    ):
        values = values % 3 if name == "tenant" else values
        columns.append(np.concatenate([getattr(trace, name)[:from_row], values]))
    classes = np.concatenate([trace.slo_class[:from_row], np.zeros(n + 3)])
    return Scenario(
        "another future",
        "validation",
        2.0,
        Trace(*columns, classes),
        scenario.deployment,
        scenario.step_time,
        scenario.classes,
        scenario.calibration,
        scenario.prediction_error,
        n_tenants=3,
    )


@pytest.mark.parametrize(
    ("make", "has_host"),
    [
        (fuzzed_policy, False),
        (fuzzed_plan, False),
        (whimsical, True),
        (fuzzed_plan, True),
    ],
)
def test_equal_pasts_give_equal_views(make, has_host):
    compared = 0
    for seed in range(60):
        scenario = fuzzed_scenario(seed)
        if has_host:
            scenario = with_host(scenario, **memory_of(seed))
        half = len(scenario.trace) // 2
        until_s = scenario.trace.arrived_ps[half] / PS_PER_S
        as_it_is = replace(scenario, n_tenants=3)
        logs = []
        for served in (as_it_is, with_another_future(scenario, half)):
            witness = Witness(make(seed)())
            with suppress(
                PolicyError
            ):  # stuck in the end; what it saw till then counts
                simulate(served, witness)
            logs.append([told for now_s, told in witness.seen if now_s < until_s])
        shared = min(map(len, logs))
        assert logs[0][:shared] == logs[1][:shared], seed
        compared += shared
    assert compared > 300
