"""A tier of host memory below the prefix cache: what it finds, and its laws."""

from dataclasses import replace

import numpy as np
import pytest

from evaluators.calibration.copy_curve import affine
from evaluators.calibration.step_time import StepTime
from evaluators.evaluation import PolicyError
from evaluators.host_memory import HostMemory, Tier
from evaluators.metrics import measure
from evaluators.reuse import reuse
from evaluators.sim.engine import simulate
from evaluators.sim.laws import check
from evaluators.sim.plain.engine import simulate_plainly
from evaluators.workloads.prefixes import Prefixes
from evaluators.workloads.trace import PS_PER_S
from tests.sim.builders import served
from tests.sim.cached import Listed
from tests.sim.fuzzed import fuzzed_plan, fuzzed_policy, fuzzed_scenario, with_prefixes

CURVE = affine("made up", "a test", launch_ps=5, bytes_per_s=10**12, status="assumed")
"""A copy takes 5 ps and one more for each byte."""
INSTANT = affine("made up", "a test", launch_ps=1, bytes_per_s=10**30, status="assumed")
COLUMNS = ("finished_ps", "first_token_ps", "admitted_ps", "hit_tokens", "preemptions")


def with_host(scenario, blocks=1000, curve=CURVE, block_bytes=1, **memory):
    host = HostMemory(blocks, block_bytes, curve, **memory)
    return replace(scenario, deployment=replace(scenario.deployment, host_memory=host))


def chained(chains, *, apart_ps=10_000, output=1, kv_blocks=100, **deployment):
    """Requests one after the other whose prompts are these chains and a token more."""
    requests = [(i * apart_ps, len(c) + 1, output) for i, c in enumerate(chains)]
    scenario = served(requests, kv_blocks=kv_blocks, prefix_caching=True, **deployment)
    offsets = np.cumsum([0, *map(len, chains)])
    ids = np.array([i for chain in chains for i in chain], dtype=np.int64)
    prefixes = Prefixes(1, offsets, ids)
    return replace(scenario, trace=replace(scenario.trace, prefixes=prefixes))


def drawn_chains(seed, n=40):
    """Chains off a random tree."""
    rng, tree, chains = np.random.default_rng(seed), {}, []
    for _ in range(n):
        chain = []
        for _ in range(rng.integers(1, 9)):
            at = (chain[-1] if chain else -1, int(rng.integers(3)))
            chain.append(tree.setdefault(at, len(tree)))
        chains.append(chain)
    return chains


def checked(scenario, policy=None, **options):
    run = simulate(scenario, policy, **options)
    check(scenario, run)
    return run


A, B = [0, 1, 2, 3], [10, 11, 12, 13]
"""Two prompts that do not fit into eight blocks together."""


@pytest.mark.parametrize("writes", ["back", "through"])
def test_what_the_gpu_evicted_is_loaded_back_instead_of_computed(writes):
    scenario = chained([A, B, A], kv_blocks=6)
    bare, tiered = checked(scenario), checked(with_host(scenario, writes=writes))
    assert bare.hit_tokens.tolist()[2] < 4
    assert tiered.hit_tokens.tolist() == [0, 0, 4]
    missing = 4 - bare.hit_tokens[2]
    assert tiered.copies.hit_tokens == tiered.copies.back_bytes == missing


def test_a_load_takes_the_time_of_the_copy_curve_before_the_first_step():
    scenario = chained([A, B, A], kv_blocks=5)
    slow = with_host(scenario, block_bytes=200, run_copies=2)
    for overlaps in (False, True):
        run = checked(with_host(scenario, block_bytes=200, overlaps=overlaps))
        load_ps = run.copies.load_ps
        assert load_ps == 205 * run.copies.hit_tokens == 205 * 4
        assert run.first_token_ps[2] - run.arrived_ps[2] >= load_ps
    assert checked(slow).copies.load_ps == 2 * 105 * 4


def test_a_block_taken_for_a_load_is_left_by_its_copy_first():
    scenario = chained([A, B, A], kv_blocks=5)
    run = checked(with_host(scenario, block_bytes=200, overlaps=True, is_duplex=True))
    waited = run.first_token_ps[2] - run.arrived_ps[2]
    assert waited >= 2 * 205 * 4


def test_eager_copies_spare_the_eviction_its_copy():
    scenario = chained([A, B, A, B], kv_blocks=5)
    back, through = (
        checked(with_host(scenario, block_bytes=100, overlaps=True, writes=writes))
        for writes in ("back", "through")
    )
    assert back.copies.stall_ps.sum() > 0 == through.copies.stall_ps.sum()
    assert (back.hit_tokens == through.hit_tokens).all()
    assert through.copies.out_bytes == 100 * (8 + 4)


def test_eager_copies_are_the_only_ones_as_eviction_copies_nothing():
    chains = [A, B, [20, 21, 22, 23], A]
    run = checked(with_host(chained(chains, kv_blocks=6), blocks=3, writes="through"))
    assert run.copies.out_bytes == sum(len(chain) + 1 for chain in chains)


def test_time_saved_is_less_by_what_loading_took():
    costly = StepTime(tokens_ps=(10, 1010))
    scenario = chained([A, B, A], apart_ps=100_000, kv_blocks=5, step_time=costly)
    fast, slow = (
        with_host(scenario, block_bytes=size, curve=CURVE) for size in (1, 10)
    )
    runs = [checked(fast), checked(slow)]
    assert (runs[0].hit_tokens == runs[1].hit_tokens).all()
    saved = [reuse(scenario, run).saved_s * PS_PER_S for run in runs]
    assert saved[0] - saved[1] == pytest.approx(4 * 9)
    assert measure(slow, runs[1])["host_hit_tokens"] == 4


def test_a_block_that_came_back_is_not_moved_out_again():
    run = checked(with_host(chained([A, B, A, B, A], kv_blocks=5)))
    last_tokens = 4
    assert run.copies.out_bytes == 8 + last_tokens
    assert run.copies.spared_bytes > 0


def test_the_longest_unused_block_of_the_host_makes_room_a_tail_first():
    c, sizes = [20, 21, 22, 23], (5, 8, 15)
    scenarios = (
        chained([A, B, c, A, B], kv_blocks=5),
        chained([A, B, c, B], kv_blocks=5),
    )
    longest, later = (
        [int(checked(with_host(each, blocks=n)).hit_tokens[3]) for n in sizes]
        for each in scenarios
    )
    assert longest == [0, 3, 4]
    assert later == [4, 4, 4]


def test_what_the_host_has_no_room_for_is_found_in_the_tiers_below():
    scenario = chained([A, B, [20, 21, 22, 23], A, B], kv_blocks=5)
    tiers = Tier("cxl", 3, CURVE), Tier("ssd", 9, CURVE)
    run = checked(with_host(scenario, blocks=2, below=tiers))
    assert run.hit_tokens[3:].tolist() == [4, 4]
    assert all(down and up for down, up in run.copies.tiers.values())


def test_others_wait_for_a_block_that_is_still_landing():
    scenario = chained([A, B, A, A], kv_blocks=12)
    trace = replace(scenario.trace, arrived_ps=np.array([0, 10_000, 20_000, 20_001]))
    blocks = replace(scenario.deployment, kv_blocks=6)
    scenario = replace(scenario, trace=trace, deployment=blocks)
    run = checked(with_host(scenario, block_bytes=1000, overlaps=True))
    landed = run.arrived_ps[2] + run.copies.load_ps
    assert run.hit_tokens[3] == 4
    assert (run.first_token_ps[2:] > landed).all()


def test_a_policy_sees_what_the_host_has_of_a_waiting_request():
    class Witness:
        seen = 0

        def admit_key(self, waiting, engine):
            self.seen = max(self.seen, *waiting.cached_tokens.tolist())
            return waiting.arrived_s

    scenario = chained([A, B, A, A], kv_blocks=5)
    trace = replace(scenario.trace, arrived_ps=np.array([0, 10_000, 20_000, 20_000]))
    policy = Witness()
    checked(with_host(replace(scenario, trace=trace)), policy)
    assert policy.seen == 4


# -- preemption, and the turns of a session -------------------------------------------


@pytest.mark.parametrize("writes", ["back", "through"])
def test_a_preempted_request_finds_its_own_kv_in_the_host(writes):
    requests = [(0, 4, 30), (0, 4, 30), (0, 4, 30)]
    scenario = served(requests, kv_blocks=40, prefix_caching=True)
    lost, kept = checked(scenario), checked(with_host(scenario, writes=writes))
    assert kept.preemptions.sum()
    assert kept.copies.hit_tokens > 0
    computed = [
        int((r.steps.prefill_tokens * r.steps.count).sum()) for r in (lost, kept)
    ]
    assert computed[1] < computed[0]
    assert computed[1] == 12 + kept.preemptions.sum()


def test_a_sessions_next_turn_moves_only_what_is_new_in_and_out():
    """FastSwitch's reuse: the copy of a finished turn is kept in the host."""
    turns = [list(range(4 * n)) for n in (1, 2, 3)]
    other = [list(range(100 * n, 100 * n + 12)) for n in (1, 2)]
    chains = [turns[0], other[0], turns[1], other[1], turns[2]]
    run = checked(with_host(chained(chains, kv_blocks=14), writes="through"))
    assert run.hit_tokens.tolist() == [0, 0, 4, 0, 8]
    own_last_blocks = 5
    assert run.copies.out_bytes == 12 + 2 * 12 + own_last_blocks
    assert run.copies.back_bytes == run.copies.hit_tokens <= 4 + 8


# -- laws ------------------------------------------------------------------------------


def fuzzed(seed, **memory):
    rng = np.random.default_rng((seed, 11))
    tiers = (Tier("cxl", int(rng.integers(1, 200)), CURVE),) * int(rng.integers(3))
    tiers = tuple(replace(t, name=f"tier {i}") for i, t in enumerate(tiers))
    chosen = {
        "blocks": int(rng.choice([0, 1, 3, 10, 60])),
        "block_bytes": int(rng.integers(1, 50)),
        "overlaps": bool(rng.integers(2)),
        "is_duplex": bool(rng.integers(2)),
        "writes": str(rng.choice(["back", "through"])),
        "below": tiers,
    }
    return with_host(with_prefixes(fuzzed_scenario(seed), seed), **chosen | memory)


def attempted(scenario, policy, eviction):
    """The run, its laws checked; None if the policy gets stuck, as fuzzed ones may."""
    try:
        return checked(scenario, policy, eviction=eviction)
    except PolicyError as error:
        assert error.failure.kind == "no_progress"
        return None


def obeyed(seeds):
    """How often blocks were loaded, refused and brought up from a tier below."""
    found = np.zeros(3)
    for each in seeds:
        policy = (fuzzed_policy if each % 3 else fuzzed_plan)(each)()
        rescore = "always" if each % 8 else "touch"
        eviction = Listed(rescore, each) if each % 4 == 0 else None
        run = attempted(fuzzed(each), policy, eviction)
        if run:
            up = sum(up for _, up in run.copies.tiers.values())
            found += run.copies.hit_tokens > 0, run.copies.refused > 0, up > 0
    return found


def test_no_scenario_policy_or_plan_breaks_a_law():
    assert (obeyed(range(30)) > 0).all()


@pytest.mark.slow
def test_a_thousand_scenarios_policies_and_plans_break_no_law():
    assert (obeyed(range(1000, 2000)) > 20).all()


def test_no_room_in_the_host_is_the_engine_without_host_memory():
    for seed in range(20):
        scenario = fuzzed(seed, blocks=0)
        run = checked(scenario)
        bare = replace(scenario.deployment, host_memory=None)
        plain = simulate_plainly(replace(scenario, deployment=bare), None)
        assert run.decisions == plain.decisions
        for name in COLUMNS:
            assert (getattr(run, name) == getattr(plain, name)).all()


@pytest.mark.parametrize("writes", ["back", "through"])
def test_a_host_without_end_at_no_cost_finds_what_a_gpu_without_end_would(writes):
    for seed in range(10):
        chains = drawn_chains(seed)
        tight = with_host(chained(chains, kv_blocks=10), 10**6, INSTANT, writes=writes)
        found = checked(tight).hit_tokens
        assert (found == checked(chained(chains, kv_blocks=10**4)).hit_tokens).all()
        assert found.sum() > checked(chained(chains, kv_blocks=10)).hit_tokens.sum()


def test_a_larger_host_finds_no_less_in_the_same_order_of_service():
    """One request at a time: what the GPU evicts does not hang on the host's size."""
    gains = 0
    for seed in range(5):
        scenario = chained(drawn_chains(seed), kv_blocks=10)
        found = [
            int(checked(with_host(scenario, blocks=n)).hit_tokens.sum())
            for n in (0, 1, 2, 3, 5, 8, 13, 21, 34)
        ]
        assert found == sorted(found)
        gains += found[-1] > found[0]
    assert gains == 5


def test_block_groups_beside_shared_blocks_are_refused():
    with pytest.raises(ValueError, match="one by one"):
        with_host(chained([A]), group_blocks=8)
    with pytest.raises(ValueError, match="writes is 'never'"):
        with_host(chained([A]), writes="never")
