"""Random small scenarios with everything at once: no law is broken, nothing hangs."""

import signal
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from evaluators.calibration.copy_curve import affine
from evaluators.evaluation import PolicyError
from evaluators.host_memory import HostMemory
from evaluators.sim.cluster.engines import fast
from evaluators.sim.cluster.fleet import simulate_fleet
from evaluators.sim.engine import simulate
from evaluators.sim.laws import check
from evaluators.workloads.prefixes import Priorities
from evaluators.workloads.trace import Trace
from tests.sim.fleets import fuzzed_fleet, fuzzed_router, with_sessions
from tests.sim.fuzzed import fuzzed_plan, fuzzed_policy, fuzzed_scenario, with_prefixes
from tests.sim.test_caching import fuzzed_eviction

HANGS_AFTER_S = 60
"""Of CPU time: the slowest scenarios known take three, and machines may be busy."""


@contextmanager
def no_hang(seed):
    """Fail with the seed if the body takes far longer than any small scenario does."""

    def hangs(*_):
        raise TimeoutError(f"seed {seed} hangs")

    before = signal.signal(signal.SIGPROF, hangs)
    signal.setitimer(signal.ITIMER_PROF, HANGS_AFTER_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def shaken(scenario, rng):
    """The same with an extreme here and there: one block, one moment, priorities."""
    trace, deployment = scenario.trace, scenario.deployment
    if rng.random() < 0.1:
        deployment = replace(deployment, kv_blocks=1)
    if rng.random() < 0.2:
        trace = replace(trace, arrived_ps=np.zeros(len(trace)))
    if rng.random() < 0.3:
        levels = rng.integers(0, 4, (int(rng.integers(1, 9)), 3))
        period = int(rng.choice([1, 50, 4000]))
        trace = replace(trace, priorities=Priorities(period, levels))
    return replace(scenario, trace=trace, deployment=deployment)


def drawn_host(rng, *, groups=True):
    """Some host memory; with ``groups``, perhaps in groups of blocks."""
    launch, rate = int(rng.integers(1, 90)), 10**12
    curve = affine(
        "made up", "a test", launch_ps=launch, bytes_per_s=rate, status="assumed"
    )
    return HostMemory(
        int(rng.integers(1, 200)),
        int(rng.integers(1, 9)),
        curve,
        group_blocks=int(rng.choice([1, 4])) if groups else 1,
        overlaps=bool(rng.random() < 0.5),
        is_duplex=bool(rng.random() < 0.5),
        writes=str(rng.choice(["back", "through"])),
    )


def with_host(scenario, rng, seed):
    """The same engine with host memory for what is preempted, or below its cache."""
    if seed % 2:
        scenario = with_prefixes(scenario, seed)
    host = drawn_host(rng, groups=not scenario.deployment.prefix_caching)
    return replace(scenario, deployment=replace(scenario.deployment, host_memory=host))


def with_hosts(scenario, rng):
    """The same fleet with host memory in some of its replicas."""
    members = tuple(
        replace(
            m,
            deployment=replace(m.deployment, host_memory=drawn_host(rng, groups=False)),
        )
        if rng.random() < 0.6
        else m
        for m in scenario.fleet.members
    )
    return replace(scenario, fleet=replace(scenario.fleet, members=members))


def one_engine(seed, rng):
    """A run of one engine with a cache, or host memory, or neither."""
    scenario = shaken(fuzzed_scenario(seed), rng)
    policy = (fuzzed_plan if rng.random() < 0.2 else fuzzed_policy)(seed)
    if rng.random() < 0.3:
        scenario = with_sessions(scenario, rng)
    if rng.random() < 0.3:
        scenario = with_host(scenario, rng, seed)
        return scenario, lambda: simulate(scenario, policy())
    if rng.random() < 0.7:
        scenario = with_prefixes(scenario, seed)
        radix = replace(scenario.deployment, parents_outlive_children=seed % 2 == 0)
        scenario = replace(scenario, deployment=radix)
    eviction = fuzzed_eviction(seed) if rng.random() < 0.5 else None
    return scenario, lambda: simulate(
        scenario, policy(), eviction=eviction() if eviction else None
    )


def a_fleet(seed, rng):
    """A run of a fleet with roles, losses, sessions and stale reports."""
    scenario = fuzzed_fleet(seed)
    router = fuzzed_router(seed)() if rng.random() < 0.7 else None
    if rng.random() < 0.3:
        scenario = with_hosts(scenario, rng)
    return scenario, lambda: simulate_fleet(scenario, router, fast)


def obeys(seed) -> str:
    """How a random scenario ended: served, or by a policy's fault; checks its laws."""
    rng = np.random.default_rng((seed, 77))
    scenario, run = (a_fleet if seed % 3 == 0 else one_engine)(seed, rng)
    with no_hang(seed):
        try:
            check(scenario, run())
        except PolicyError as error:
            return error.failure.kind
        return "served"


def test_random_scenarios_obey_every_law():
    ends = [obeys(seed) for seed in range(150)]
    assert set(ends) <= {"served", "no_progress", "decision"}
    assert ends.count("served") > 100


@pytest.mark.slow
def test_ten_thousand_random_scenarios_obey_every_law():
    ends = [obeys(seed) for seed in range(100_000, 110_000)]
    assert set(ends) <= {"served", "no_progress", "decision"}
    assert ends.count("served") > 7_000


def test_a_prompt_of_no_tokens_is_refused_by_name():
    with pytest.raises(ValueError, match="row 1: prompt_tokens is 0"):
        Trace([0, 0], [4, 0], [1, 1], [1, 1], [0, 0], [0, 0])
