import random
from dataclasses import replace

import numpy as np
import pytest

from evaluators.scenario import Deployment
from evaluators.sim.cache import plain, valued
from evaluators.sim.cache.contents import Contents
from evaluators.sim.cache.plain import PlainCache
from evaluators.sim.cache.prefix_cache import PrefixCache
from evaluators.sim.cache.valued import memory
from evaluators.workloads.prefixes import Prefixes
from tests.sim.cached import Driver, Listed, drawn, plain_memory


def of_chains(chains, block_tokens=1):
    offsets = np.cumsum([0, *map(len, chains)])
    ids = np.array([i for chain in chains for i in chain], dtype=np.int64)
    return Prefixes(block_tokens, offsets, ids)


def both(chains, kv_blocks, *, block_tokens=1, trace_block_tokens=1):
    prefixes = of_chains(chains, trace_block_tokens)
    where = Deployment("small", kv_blocks, block_tokens=block_tokens)
    return [
        PrefixCache(where, Contents(prefixes, len(chains), where.block_tokens)),
        PlainCache(where, prefixes, len(chains)),
    ]


def served(cache, row, tokens):
    """Admit, compute and release a request in one go; its hits."""
    hit = cache.hits(row, tokens)
    cache.admit(row, hit.blocks, 0)
    cache.grow(row, -(-tokens // cache.block_tokens) - hit.blocks, 0)
    cache.fill(row, tokens, 0)
    cache.release(row, tokens, 0)
    return hit.blocks


@pytest.mark.parametrize("which", [0, 1])
def test_a_chain_in_memory_is_hit_but_for_its_last_token(which):
    cache = both([[1, 2, 3], [1, 2, 3], [1, 2, 9, 4]], 20)[which]
    assert [served(cache, row, n) for row, n in ((0, 3), (1, 3), (2, 4))] == [0, 2, 2]


@pytest.mark.parametrize("which", [0, 1])
def test_the_tail_of_the_longest_unused_request_is_evicted_first(which):
    cache = both([[1, 2, 3], [7], [1, 2, 3, 8]], 4)[which]
    served(cache, 0, 3)
    served(cache, 1, 2)  # one block was never used, the other is the tail of row 0
    assert cache.evictions == 1
    assert cache.hits(2, 4).blocks == 2


@pytest.mark.parametrize("which", [0, 1])
def test_blocks_released_before_they_are_full_are_used_again_first(which):
    cache = both([[1], [2], [1, 5]], 2, block_tokens=4, trace_block_tokens=4)[which]
    served(cache, 0, 5)
    served(cache, 1, 3)
    assert cache.evictions == 0
    assert cache.hits(2, 8).blocks == 1


@pytest.mark.parametrize("which", [0, 1])
def test_a_preempted_request_finds_its_own_blocks_again_past_its_chain(which):
    cache = both([[1], [1, 2]], 20)[which]
    served(cache, 0, 6)
    assert cache.hits(0, 7).blocks == 6
    assert cache.hits(1, 2).blocks == 1


@pytest.mark.parametrize("which", [0, 1])
def test_blocks_of_a_trace_are_cut_into_the_engines(which):
    cache = both([[5], [5]], 9, block_tokens=2, trace_block_tokens=6)[which]
    served(cache, 0, 6)
    assert cache.hits(1, 6) == (2, 2)


def test_blocks_of_a_trace_that_are_no_multiple_are_refused():
    with pytest.raises(ValueError, match="expected a multiple of the engine's 4"):
        both([[5]], 9, block_tokens=4, trace_block_tokens=6)


def test_held_blocks_do_not_count_as_free():
    cache = both([[1, 2], [1, 2, 3]], 5)[0]
    cache.admit(0, cache.hits(0, 2).blocks, 0)
    cache.grow(0, 2, 0)
    cache.fill(0, 2, 0)
    assert cache.hits(1, 3) == (2, 0)
    assert cache.free == 3
    cache.release(0, 2, 0)
    assert cache.hits(1, 3) == (2, 2)
    assert cache.free == 5


@pytest.mark.parametrize("radix", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_both_caches_take_equal_decisions(seed, radix):
    for i in range(60):
        case = drawn(random.Random(1000 * seed + i), radix=radix)
        fast, plain = (Driver(case, make).run() for make in (memory, plain_memory))
        assert fast == plain


@pytest.mark.parametrize("radix", [False, True])
@pytest.mark.parametrize("rescore", ["touch", "always"])
def test_both_caches_ask_equal_questions(rescore, radix, monkeypatch):
    for module in (plain, valued):
        monkeypatch.setattr(module, "CANDIDATES", 3)
        monkeypatch.setattr(module, "VICTIMS", 2)
    asked = 0
    for i in range(250):
        case = drawn(random.Random(i), radix=radix)
        logs = []
        for make in (memory, plain_memory):
            policy = Listed(rescore, i)
            logs.append((Driver(case, make, policy).run(), policy.log))
        assert logs[0] == logs[1]
        asked += len(policy.log)
    assert asked > 1000


@pytest.mark.parametrize("rescore", ["touch", "always"])
def test_what_a_policy_sees_tells_nothing_of_how_contents_are_named(rescore):
    case = drawn(random.Random(31))
    trace = case.scenario.trace
    renamed = replace(trace.prefixes, ids=7 + 1000 * (99 - trace.prefixes.ids))
    scenario = replace(case.scenario, trace=replace(trace, prefixes=renamed))
    logs = []
    for each in (case, case._replace(scenario=scenario)):
        policy = Listed(rescore, 5)
        logs.append((Driver(each, memory, policy).run(), policy.log))
    assert logs[0] == logs[1]
    assert logs[0][1]
