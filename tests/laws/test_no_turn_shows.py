"""Turns of sessions that are still to come show in no engine and in no replica.

What is compared are the bytes that cross to a policy's process, in every kind of
engine and for all policies of a fleet at once.
"""

from contextlib import ExitStack, suppress
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from evaluators.evaluation import PolicyError
from evaluators.mirror import Teller
from evaluators.problems import load
from evaluators.sim.cluster import engines, hosts
from evaluators.sim.cluster.fleet import simulate_fleet
from evaluators.sim.engine import simulate
from evaluators.sim.plain.engine import simulate_plainly
from evaluators.views import Requests
from evaluators.workloads.trace import PS_PER_S
from tests.laws.futures import another_future
from tests.sim.fleets import fuzzed_fleet, fuzzed_router, with_sessions
from tests.sim.fuzzed import fuzzed_policy, fuzzed_scenario, with_prefixes
from tests.sim.test_swapping import memory_of, with_host

TENANTS = 5


class Watched:
    """A policy whose questions are written down with their time as they would cross."""

    def __init__(self, policy, problem):
        self.seen, self.rows, self._teller = [], [], Teller()
        for name in ("ask", "holds_back", "migrate_every_s"):
            if hasattr(policy, name):
                setattr(self, name, getattr(policy, name))
        for hook in load(problem).hooks:
            if hasattr(policy, hook.name):
                setattr(self, hook.name, self._asked(hook, getattr(policy, hook.name)))

    def _asked(self, hook, answer):
        def asked(*views):
            told = self._teller.told(hook.arguments, views)
            now_s = [getattr(view, "__dict__", {}).get("now_s") for view in views]
            now_s += [getattr(view, "now_s", None) for view in views[:1]]
            at_s = next((at_s for at_s in now_s if at_s is not None), None)
            self.seen.append((hook.name, at_s, told))
            for view in views:
                if isinstance(view, Requests):
                    self.rows.append((at_s, view.parts()[0].tolist(), view.id.tolist()))
            return answer(*views)

        asked.__name__ = hook.name
        return asked

    def before(self, until_ps):
        """What was seen by then; what has no time with what comes after it."""
        found, at_s = [], float("inf")
        for name, now_s, told in reversed(self.seen):
            at_s = at_s if now_s is None else now_s
            if at_s * PS_PER_S < until_ps:
                found.append((name, told))
        return found[::-1]


def in_sessions(seed, *, overlaps=False, has_host=False):
    """A fuzzed scenario where many a request waits for an earlier one."""
    scenario = fuzzed_scenario(seed)
    if seed % 3:
        scenario = with_prefixes(scenario, seed)
    scenario = with_sessions(scenario, np.random.default_rng((seed, 21)))
    deployment = replace(scenario.deployment, async_scheduling=overlaps)
    scenario = in_order(replace(scenario, deployment=deployment))
    if not has_host:
        return scenario
    own = {"group_blocks": 1} if deployment.prefix_caching else {}
    return with_host(scenario, **memory_of(seed) | own)


def in_order(scenario):
    """The same with rows in the order in which they could come, as sessions have it."""
    return replace(scenario, trace=scenario.trace.scaled(1.0), n_tenants=TENANTS)


def watched_run(serve, scenario, seed):
    """(run, what was seen) by a fuzzed policy; no run where it got stuck."""
    witness, run = Watched(fuzzed_policy(seed)(), "scheduling"), None
    with suppress(PolicyError):
        run = serve(scenario, witness)
    return run, witness


def late(run):
    """Just after three quarters of all arrivals."""
    arrived_ps = np.sort(run.arrived_ps[run.arrived_ps >= 0])
    return int(arrived_ps[len(arrived_ps) * 3 // 4]) + 1


@pytest.mark.parametrize(
    ("serve", "switches"),
    [
        (simulate, {}),
        (simulate, {"overlaps": True}),
        (simulate, {"has_host": True}),
        (simulate_plainly, {}),
        (simulate_plainly, {"overlaps": True}),
    ],
)
def test_no_engine_shows_turns_to_come(serve, switches):
    compared = 0
    for seed in range(15):
        scenario = in_sessions(seed, **switches)
        run, witness = watched_run(serve, scenario, seed)
        if run is None or run.arrived_ps.max() < 0:
            continue
        until_ps = late(run)
        other = another_future(scenario, run, until_ps)
        _, later = watched_run(serve, other, seed)
        assert witness.before(until_ps) == later.before(until_ps), seed
        compared += len(witness.before(until_ps))
    assert compared > 150


@pytest.mark.parametrize("overlaps", [False, True])
def test_all_engines_show_the_same_places(overlaps):
    compared = 0
    for seed in range(24):
        scenario = in_sessions(seed, overlaps=overlaps)
        runs = [
            watched_run(serve, scenario, seed) for serve in (simulate, simulate_plainly)
        ]
        if any(run is None for run, _ in runs):
            continue  # stuck, which engines may notice a question sooner or later
        rows = [witness.rows for _, witness in runs]
        assert rows[0] == rows[1], seed
        compared += len(rows[0])
    assert compared > 300


def watched_fleet(scenario, seed, make):
    """(run, what the router saw, what all companions saw, in the order of replicas)."""
    companions = []

    def companion(_, problem):
        if problem != "scheduling":
            return None
        companions.append(Watched(fuzzed_policy(seed)(), problem))
        return companions[-1]

    router, run = Watched(fuzzed_router(seed)(), "load_balancing"), None
    with ExitStack() as stack:
        for module in (engines, hosts):
            stack.enter_context(patch.object(module, "companion", companion))
        with suppress(PolicyError):
            run = simulate_fleet(scenario, router, make)
    return run, [router, *companions]


@pytest.mark.parametrize("make", [engines.fast, engines.plain])
def test_no_fleet_shows_turns_to_come_to_its_router_or_its_engines(make):
    compared = [0, 0]
    for seed in range(12):
        scenario = in_order(fuzzed_fleet(seed))
        if scenario.trace.sessions is None:
            continue
        run, witnesses = watched_fleet(scenario, seed, make)
        if run is None or run.arrived_ps.max() < 0:
            continue
        until_ps = late(run)
        other = another_future(scenario, run, until_ps)
        _, later = watched_fleet(other, seed, make)
        for i, pair in enumerate(zip(witnesses, later, strict=False)):
            logs = [witness.before(until_ps) for witness in pair]
            assert logs[0] == logs[1], seed
            compared[i > 0] += len(logs[0])
    assert min(compared) > 80
