import random
from itertools import combinations

import numpy as np
import pytest

from evaluators.cache_replay import RULES, Chains, hit_share


def drawn(seed):
    rng = random.Random(seed)
    rows = [[rng.randint(0, 1) for _ in range(rng.randint(1, 3))] for _ in range(8)]
    offsets = np.cumsum([0, *map(len, rows)])
    return Chains.of_chunks(offsets, np.array([c for row in rows for c in row]))


def most_found(chains, n_blocks):
    """Blocks found by the best choice of what to keep, tried out one by one."""
    best = {frozenset(): 0}
    for row in chains.rows():
        after = {}
        for here, found in best.items():
            leading = 0
            while leading < len(row) and row[leading] in here:
                leading += 1
            known = here | set(row)
            size = min(n_blocks, len(known))
            for kept in map(frozenset, combinations(sorted(known), size)):
                after[kept] = max(after.get(kept, 0), found + leading)
        best = after
    return max(best.values())


@pytest.mark.parametrize("seed", range(12))
def test_nothing_finds_more_than_the_optimal_rule(seed):
    chains, n_blocks = drawn(seed), 1 + seed % 5
    found = {name: int(rule(chains, n_blocks).sum()) for name, rule in RULES.items()}
    assert found["optimal"] == most_found(chains, n_blocks)
    assert max(found.values()) == found["optimal"]


@pytest.mark.parametrize("rule", RULES)
def test_a_memory_for_everything_finds_every_block_that_came_before(rule):
    chains = drawn(3)
    hits = RULES[rule](chains, chains.n_ids)
    assert hits.sum() == len(chains.ids) - chains.n_ids


def test_the_share_of_hits_weighs_blocks_by_their_tokens():
    chains = Chains.of(np.array([0, 2, 4]), np.array([5, 6, 5, 7]))
    hits = RULES["lru"](chains, 9)
    assert hits.tolist() == [0, 1]
    assert hit_share(chains, hits).tolist() == [0.25, 0.5]
    sizes = np.array([1, 1, 3, 1])
    assert hit_share(chains, hits, sizes).tolist() == [0.5, 0.75]
