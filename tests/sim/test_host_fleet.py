"""Replicas with host memory of their own: lost with them, whole through moves."""

from dataclasses import replace

import numpy as np
import pytest

from evaluators.calibration.copy_curve import affine
from evaluators.evaluation import PolicyError
from evaluators.fleet import Fleet, Loss, Member, assumed_wire
from evaluators.host_memory import HostMemory, Tier
from evaluators.sim.cluster.engines import plain
from evaluators.sim.cluster.fleet import simulate_fleet
from evaluators.sim.cluster.serving import serve_fleet
from evaluators.sim.engine import simulate
from evaluators.sim.laws import check
from evaluators.workloads.trace import PS_PER_S
from tests.sim.builders import served
from tests.sim.fleets import fuzzed_fleet, fuzzed_router
from tests.sim.test_cluster import assert_same
from tests.sim.test_host_cache import CURVE, A, B, chained


def with_hosts(scenario, host):
    """The same fleet whose members have such host memory each."""
    members = tuple(
        replace(m, deployment=replace(m.deployment, host_memory=host))
        for m in scenario.fleet.members
    )
    fleet = replace(scenario.fleet, members=members)
    return replace(scenario, fleet=fleet, deployment=members[0].deployment)


def drawn_host(seed):
    rng = np.random.default_rng((seed, 21))
    launch = int(rng.integers(1, 90))
    curve = affine(
        "made up", "a test", launch_ps=launch, bytes_per_s=10**12, status="assumed"
    )
    below = (Tier("ssd", int(rng.integers(1, 300)), curve),) * int(rng.integers(2))
    return HostMemory(
        int(rng.choice([0, 2, 20, 200])),
        int(rng.integers(1, 9)),
        curve,
        overlaps=bool(rng.random() < 0.5),
        is_duplex=bool(rng.random() < 0.5),
        below=below,
        writes=str(rng.choice(["back", "through"])),
    )


def fleet_of(scenario, n=2, **fleet):
    """The scenario on so many replicas like its engine."""
    members = (Member(scenario.deployment, scenario.step_time),) * n
    return replace(scenario, fleet=Fleet(members, **fleet))


def checked(scenario, router=None):
    run = serve_fleet(scenario, router)
    check(scenario, run)
    return run


def obeyed(seeds):
    """Swaps, tokens found and swaps lost with a replica, over fuzzed fleets."""
    moved = np.zeros(3)
    for seed in seeds:
        scenario = with_hosts(fuzzed_fleet(seed), drawn_host(seed))
        router = fuzzed_router(seed)() if seed % 3 else None
        run = checked(scenario, router)
        moved += run.copies.swaps, run.copies.hit_tokens, run.copies.lost
    return moved


def test_no_fleet_with_host_memory_breaks_a_law():
    assert (obeyed(range(20))[:2] > 0).all()


@pytest.mark.slow
def test_many_fleets_with_host_memory_break_no_law():
    assert (obeyed(range(1000, 1300)) > 0).all()


def test_no_room_in_the_hosts_is_the_fleet_without_host_memory():
    for seed in range(12):
        scenario = fuzzed_fleet(seed)
        router = fuzzed_router(seed)() if seed % 3 else None
        none = HostMemory(0, 1, CURVE, overlaps=seed % 2 == 0)
        bare = simulate_fleet(scenario, router, plain)
        assert_same(checked(with_hosts(scenario, none), router), bare)


def test_a_lost_replica_loses_its_host_memory_and_the_others_keep_theirs():
    chains = [A, A, B, B, A, A]
    scenario = fleet_of(chained(chains, kv_blocks=5))
    host = HostMemory(100, 1, CURVE)
    at, back = (t / PS_PER_S for t in (25_000, 26_000))
    lost = replace(scenario.fleet, losses=(Loss(0, at, back),))
    whole, half = (
        checked(with_hosts(replace(scenario, fleet=fleet), host)).hit_tokens.tolist()
        for fleet in (scenario.fleet, lost)
    )
    assert whole == [0, 0, 0, 0, 4, 4]
    assert half == [0, 0, 0, 0, 0, 4]


def test_kv_in_the_host_of_a_lost_replica_is_computed_again_elsewhere():
    requests = [(0, 4, 30), (0, 4, 30), (0, 4, 30), (0, 4, 30)]
    scenario = fleet_of(served(requests, kv_blocks=40))
    host = HostMemory(1000, 1, CURVE)
    found = []
    for at in range(300, 1500, 100):
        fleet = replace(scenario.fleet, losses=(Loss(1, at / PS_PER_S),))
        run = checked(with_hosts(replace(scenario, fleet=fleet), host))
        computed = int((run.steps.prefill_tokens * run.steps.count).sum())
        if run.copies.lost:
            found.append(computed)
    assert found
    assert min(found) > 16 + 4


class Away:
    """Moves whoever decodes on the first replica to the second."""

    migrate_every_s = 300 / PS_PER_S

    def migrate(self, requests, replicas):
        rows = np.flatnonzero(requests.replica == 0)
        return np.stack([rows, np.ones(len(rows))], axis=1)


@pytest.mark.parametrize("caching", [False, True])
def test_requests_migrate_between_replicas_with_host_memory(caching):
    requests = [(i, 4, 5 if i % 2 else 40) for i in range(6)]
    scenario = served(requests, kv_blocks=70, prefix_caching=caching)
    scenario = fleet_of(scenario, wire=assumed_wire(10**15, 1e-12), kv_bytes=1)
    host = HostMemory(1000, 1, CURVE, overlaps=True)
    run = checked(with_hosts(scenario, host), Away())
    assert run.copies.out_bytes > 0
    assert (run.replica[::2] == 1).any()


def test_prompts_are_handed_over_between_replicas_with_host_memory():
    scenario = fleet_of(
        served([(i, 9, 20) for i in range(8)], kv_blocks=60),
        wire=assumed_wire(10**12, 1e-12),
        kv_bytes=1,
    )
    roles = zip(scenario.fleet.members, ("prefill", "decode"), strict=True)
    members = tuple(replace(member, role=role) for member, role in roles)
    scenario = replace(scenario, fleet=replace(scenario.fleet, members=members))
    run = checked(with_hosts(scenario, HostMemory(1000, 1, CURVE)))
    assert run.copies.swaps > 0
    assert (run.replica == 1).all()


def test_a_stuck_plan_is_still_the_policys_failure():
    class Nothing:
        def schedule(self, waiting, running, engine):
            return np.zeros(len(waiting)), np.zeros(len(running))

    scenario = served([(0, 4, 9)])
    host = HostMemory(10, 1, CURVE, overlaps=True)
    where = replace(scenario.deployment, host_memory=host)
    with pytest.raises(PolicyError, match="runs nothing"):
        simulate(replace(scenario, deployment=where), Nothing())
