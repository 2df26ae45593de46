"""Random small fleets and routers, nasty on purpose: ties, losses, stale reports."""

from dataclasses import replace

import numpy as np

from evaluators.calibration.copy_curve import CopyCurve
from evaluators.fleet import Fleet, Loss, Member
from evaluators.scenario import Scenario
from evaluators.workloads.prefixes import Sessions
from evaluators.workloads.trace import PS_PER_S
from tests.sim.fuzzed import echoing, fuzzed_scenario, fuzzed_step_time, with_prefixes


def fuzzed_fleet(seed: int) -> Scenario:
    """A fuzzed scenario that one to four replicas serve, some of which are lost."""
    rng = np.random.default_rng((seed, 11))
    echoes = seed % 6 == 5
    scenario = echoing(seed) if echoes else fuzzed_scenario(seed)
    if rng.random() < 0.4 and not echoes:
        scenario = with_prefixes(scenario, seed)
    if rng.random() < 0.4:
        scenario = with_sessions(scenario, rng)
    same = rng.random() < 0.5
    members = tuple(member(scenario, rng, same) for _ in range(rng.integers(1, 5)))
    gone = losses(len(members), rng) if rng.random() < 0.5 else ()
    if len(members) > 2 and rng.random() < 0.5:
        members, gone = with_roles(members, rng), tuple(x for x in gone if x.back_s)
    moves = rng.random() < 0.6 or members[0].role != "mixed"
    fleet = Fleet(
        members,
        report_delay_s=float(rng.choice([0, 0, 50, 3000])) / PS_PER_S,
        probe_s=float(rng.choice([0, 1, 100])) / PS_PER_S,
        losses=gone,
        rule=str(rng.choice(["round_robin", "least_outstanding"])),
        wire=fuzzed_wire(rng) if moves else None,
        kv_bytes=int(rng.integers(1, 4)),
        contiguous=bool(rng.random() < 0.5),
        cache_reports=str(rng.choice(["as_reported", "own_record", "exact"])),
    )
    first = members[0]
    return replace(
        scenario,
        fleet=fleet,
        deployment=first.deployment,
        step_time=first.step_time,
    )


def member(scenario, rng, same) -> Member:
    """A replica like the scenario's own engine, or one that differs in all sizes."""
    own = scenario.deployment
    if same:
        return Member(own, scenario.step_time)
    return Member(
        replace(
            own,
            kv_blocks=max(1, int(own.kv_blocks * rng.uniform(0.5, 2))),
            max_running=int(rng.integers(1, 12)),
            max_step_tokens=int(rng.integers(1, 200)),
        ),
        fuzzed_step_time(rng),
    )


def with_roles(members, rng) -> tuple[Member, ...]:
    """The same where some only compute prompts, and others the rest."""
    roles = ["prefill", "decode", *rng.choice(["prefill", "decode", "mixed"], 2)]
    return tuple(
        replace(each, role=str(role))
        for each, role in zip(members, roles, strict=False)
    )


def fuzzed_wire(rng) -> CopyCurve:
    """A wire that takes from nothing to many steps for a request's KV."""
    launch, more = int(rng.integers(1, 60)), int(rng.choice([1, 30, 2000]))
    return CopyCurve("fuzzed", "assumed", "tests", ((0, launch), (100, launch + more)))


def losses(n, rng) -> tuple[Loss, ...]:
    """Some replicas go, up to all of them at a time, and most come back."""
    found = []
    for replica in range(n):
        at = 0.0
        for _ in range(int(rng.integers(0, 3))):
            at += float(rng.integers(0, 30_000))
            back = at + float(rng.integers(1, 20_000))
            for_good = replica > 0 and rng.random() < 0.2
            back_s = None if for_good else back / PS_PER_S
            found.append(Loss(replica, at / PS_PER_S, back_s))
            if for_good:
                break
            at = back
    return tuple(found)


def with_sessions(scenario, rng) -> Scenario:
    """The same where many a request waits for an earlier one."""
    n = len(scenario.trace)
    after = np.array([int(rng.integers(-1, i)) if i else -1 for i in range(n)])
    after[rng.random(n) < 0.4] = -1
    waits = rng.integers(0, 3, n) * int(rng.choice([0, 1, 700]))
    sessions = Sessions(after, waits, rng.integers(0, 2, n))
    return replace(scenario, trace=replace(scenario.trace, sessions=sessions))


def fuzzed_router(seed: int) -> type:
    """A policy class that routes by a random mixture of every column, with ties."""
    rng = np.random.default_rng((seed, 12))
    w = rng.normal(size=40)
    probes = int(rng.choice([1, 1, 2, 7]))

    def route(self, request, replicas):
        total = np.zeros(len(replicas))
        for i, column in enumerate(replicas.columns()):
            total = total + np.round(w[i] * getattr(replicas, column.name), 3)
        for i, column in enumerate(request.columns(), 25):
            total = total + np.round(w[i] * getattr(request, column.name), 3)
        total = np.round(total * (1 + np.arange(len(replicas)) % 3))
        usable = (replicas.healthy == 1) & (replicas.role != 2)
        order = np.argsort(np.where(usable, total, np.inf), kind="stable")
        return order[0] if probes == 1 else np.tile(order, 3)[:probes]

    def migrate(self, requests, replicas):
        key = requests.id % 5 + requests.generated_tokens + requests.blocks_held
        rows = np.flatnonzero(key % 3 == rng_of_three)
        target = (requests.id[rows] + replicas.free_blocks.sum()) % len(replicas)
        return np.stack([rows, target], axis=1)

    rng_of_three, hooks = int(rng.integers(3)), {"route": route}
    if rng.random() < 0.6:
        hooks["migrate"] = migrate
        hooks["migrate_every_s"] = float(rng.choice([20, 400, 5000])) / PS_PER_S
        if rng.random() < 0.3:
            del hooks["route"]
    return type("FuzzedRouter", (), hooks)
