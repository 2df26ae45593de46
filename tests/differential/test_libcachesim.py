"""Seeds on plain ids, where nothing has a prefix, side by side with libcachesim.

Needs an environment of its own: see README.md in this folder.
"""

import json

import numpy as np
import pytest

from evaluators.cache_replay import RULES, Chains
from evaluators.load import load_policy
from evaluators.problems.eviction import PROBLEM
from evaluators.scenario import Deployment, Scenario
from evaluators.sim.cache import valued
from evaluators.workloads.prefixes import Prefixes
from evaluators.workloads.trace import Trace
from tests.differential.cache_python import answer, needs
from tests.problems.builders import SEEDS
from tests.sim.builders import SIMPLE
from tests.sim.fuzzed import CLASSES

PYTHON = "ADRS_LIBCACHESIM_PYTHON"
pytestmark = [pytest.mark.slow, needs(PYTHON, "libcachesim 0.3.5")]

N_REQUESTS, N_IDS, N_BLOCKS = 20_000, 2_000, 200


def zipf(n_requests=N_REQUESTS, n_ids=N_IDS):
    rng = np.random.default_rng(7)
    share = 1.0 / np.arange(1, n_ids + 1) ** 0.9
    return rng.choice(n_ids, n_requests, p=share / share.sum())


def hits_of(seed, ids):
    """Which requests of one block hit where the seed decides."""
    ones, zeros = np.ones(len(ids)), np.zeros(len(ids))
    prefixes = Prefixes(1, np.arange(len(ids) + 1), ids)
    trace = Trace(zeros, ones, ones, ones, zeros, zeros, prefixes)
    where = Deployment("flat", N_BLOCKS, block_tokens=1, prefix_caching=True)
    scenario = Scenario("flat", "train", 1.0, trace, where, SIMPLE, CLASSES, "made up")
    text = (SEEDS / "eviction" / f"{seed}.py").read_text()
    cache = valued.memory(scenario, load_policy(text, PROBLEM.hooks))
    hits = []
    for row in range(len(ids)):
        now_ps = (row + 1) * 10**12
        hit = cache.hits(row, 2)
        cache.admit(row, hit.blocks, now_ps)
        cache.grow(row, 1 - hit.blocks, now_ps)
        cache.fill(row, 1, now_ps)
        cache.release(row, 1, now_ps)
        hits.append(hit.blocks)
    return np.array(hits)


def theirs_of(name, ids, n_blocks, folder):
    listed = folder / "ids.json"
    listed.write_text(json.dumps(ids.tolist()))
    return np.array(answer(PYTHON, "libcachesim_hits.py", listed, n_blocks, name)[name])


@pytest.mark.parametrize(("seed", "theirs"), [("lru", "LRU"), ("fifo", "FIFO")])
def test_every_request_hits_or_misses_alike(seed, theirs, tmp_path):
    ids = zipf()
    assert np.array_equal(
        hits_of(seed, ids), theirs_of(theirs, ids, N_BLOCKS, tmp_path)
    )


@pytest.mark.parametrize(("rule", "theirs"), [("lru", "LRU"), ("fifo", "FIFO")])
def test_the_replay_of_a_large_memory_hits_alike(rule, theirs, tmp_path):
    ids = zipf(100_000, 20_000)
    ours = RULES[rule](Chains.of(np.arange(len(ids) + 1), ids), 2_000)
    assert np.array_equal(ours, theirs_of(theirs, ids, 2_000, tmp_path))


@pytest.mark.parametrize(
    ("seed", "theirs"),
    [("lfu", "LFU"), ("arc", "ARC"), ("s3_fifo", "S3FIFO"), ("sieve", "Sieve")],
)
def test_the_share_of_hits_is_theirs(seed, theirs, tmp_path, monkeypatch):
    """A policy hears of a block after it has made room for it, and so decides later."""
    monkeypatch.setattr(valued, "VICTIMS", 1)
    ids = zipf()
    ours, other = hits_of(seed, ids), theirs_of(theirs, ids, N_BLOCKS, tmp_path)
    assert ours.mean() == pytest.approx(other.mean(), abs=0.002)
