"""Random use of a cache, the same for every implementation of it."""

from typing import NamedTuple

import numpy as np

from evaluators.scenario import Deployment, Scenario
from evaluators.sim.cache.evict import Evictor
from evaluators.sim.cache.owners import Owners
from evaluators.sim.cache.plain import PlainCache
from evaluators.workloads.prefixes import Prefixes, Sessions
from evaluators.workloads.trace import Trace
from tests.sim.builders import SIMPLE
from tests.sim.fuzzed import CLASSES


class Case(NamedTuple):
    scenario: Scenario
    tokens: list[tuple[int, int]]
    steps: list[tuple[str, int]]


def plain_memory(scenario, eviction):
    trace, evictor = scenario.trace, Evictor(eviction, Owners(scenario))
    return PlainCache(scenario.deployment, trace.prefixes, len(trace), evictor)


def drawn(rng, *, radix=False):
    """A small memory, requests off one tree, and what is tried with them."""
    block_tokens, parts = rng.choice([1, 2, 3]), rng.choice([1, 1, 2])
    n_rows = rng.randint(2, 12)
    longest, tree = rng.randint(1, 4), {}
    chains = [[] for _ in range(n_rows)]
    for chain in chains:
        for _ in range(rng.randint(0, longest)):
            at = (chain[-1] if chain else -1, rng.randint(0, 1))
            chain.append(tree.setdefault(at, len(tree)))
    offsets = np.cumsum([0, *map(len, chains)])
    ids = np.array([i for chain in chains for i in chain], dtype=np.int64)
    prefixes = Prefixes(block_tokens * parts, offsets, ids)
    least = [max(1, len(chain) * parts * block_tokens) for chain in chains]
    prompts = [n + rng.choice([0, 0, 1, 5]) for n in least]
    tokens = [(n, n + rng.randint(0, 6)) for n in prompts]
    kv_blocks = max(-(-most // block_tokens) for _, most in tokens)
    kv_blocks += rng.randint(0, 12)
    where = Deployment(
        "small",
        kv_blocks,
        block_tokens=block_tokens,
        parents_outlive_children=radix,
        prefix_caching=True,
    )
    kinds = ("admit", "admit", "chunk", "chunk", "decode", "release", "all")
    steps = [(rng.choice(kinds), rng.randrange(n_rows)) for _ in range(80)]
    scenario = Scenario(
        "small",
        "train",
        1.0,
        traced(rng, tokens, None if rng.random() < 0.1 else prefixes),
        where,
        SIMPLE,
        CLASSES,
        "made up",
    )
    return Case(scenario, tokens, steps)


def traced(rng, tokens, prefixes):
    """A trace of these (prompt, most computed) tokens, some in sessions."""
    n_rows = len(tokens)
    after = [rng.randrange(-1, row) if row else -1 for row in range(n_rows)]
    tools = [rng.randint(0, 1) for _ in tokens]
    prompts, most = np.array(tokens).T
    tenants = np.array([rng.randint(0, 2) for _ in tokens])
    outputs, zeros = most - prompts + 1, np.zeros(n_rows)
    return Trace(
        zeros,
        prompts,
        outputs,
        outputs,
        tenants,
        zeros,
        prefixes,
        Sessions(np.array(after), zeros, np.array(tools)),
    )


class Late:
    """Wrong for a plain cache: outputs are found when their request has left."""

    is_leaving = False

    def fill(self, row, tokens, now_ps):
        trace = self.scenario.trace
        if self.is_leaving or tokens <= trace.prompt_tokens[row]:
            super().fill(row, tokens, now_ps)

    def release(self, row, tokens, now_ps, filled=None):
        self.is_leaving = True
        super().release(row, tokens, now_ps)
        self.is_leaving = False


class LateCache(Late, PlainCache):
    """A plain cache that is wrong in that way."""

    def __init__(self, scenario):
        trace, self.scenario = scenario.trace, scenario
        super().__init__(scenario.deployment, trace.prefixes, len(trace))


class Driver:
    """Plays the steps of a case; what cannot be done is left out."""

    def __init__(self, case, make, policy=None):
        self.case = case
        self.cache = make(case.scenario, policy)
        self.block_tokens = case.scenario.deployment.block_tokens
        n_rows = len(case.tokens)
        self.tokens = {}
        self.generated = [0] * n_rows
        self.log = []
        self.now_ps = 0

    def run(self):
        for kind, row in self.case.steps:
            self.now_ps += 1
            getattr(self, kind)(row)
            self.log.append((
                self.cache.free,
                self.cache.evictions,
                self.cache.questions,
            ))
        for row in range(len(self.generated)):
            self.log.append(self.cache.hits(row, self.case.tokens[row][1] + 1))
        return self.log

    def blocks(self, tokens):
        return -(-tokens // self.block_tokens)

    def admit(self, row):
        if row in self.tokens:
            return
        goal = self.case.tokens[row][0] + self.generated[row]
        hit = self.cache.hits(row, goal)
        self.log.append(hit)
        chunk = min(goal, hit.blocks * self.block_tokens + 1 + self.now_ps % 5)
        if self.blocks(chunk) - hit.blocks + hit.free > self.cache.free:
            return
        self.cache.admit(row, hit.blocks, self.now_ps)
        self.cache.grow(row, self.blocks(chunk) - hit.blocks, self.now_ps)
        self.cache.fill(row, chunk, self.now_ps)
        self.tokens[row] = chunk

    def chunk(self, row, *, limit=4):
        """Compute more of a request's prompt, and what it generates after it."""
        if row not in self.tokens:
            return
        had, most = self.tokens[row], self.case.tokens[row][1]
        wants = min(most, had + 1 + self.now_ps % limit)
        need = self.blocks(wants) - self.blocks(had)
        if need > self.cache.free:
            return
        self.cache.grow(row, need, self.now_ps)
        self.cache.fill(row, wants, self.now_ps)
        self.tokens[row] = wants
        prompt = self.case.tokens[row][0]
        self.generated[row] = max(self.generated[row], wants - prompt)

    def decode(self, row):
        self.chunk(row, limit=1)

    def all(self, row):
        """A token for everybody past the prompt, and blocks for all at once."""
        rows = [r for r, n in self.tokens.items() if n < self.case.tokens[r][1]]
        rows = [r for r in rows if self.tokens[r] >= self.case.tokens[r][0]]
        grown = {r: self.tokens[r] + 1 for r in rows}
        need = sum(self.blocks(n) - self.blocks(n - 1) for n in grown.values())
        if need > self.cache.free:
            return
        self.cache.grow_all(need, self.now_ps)
        self.tokens |= grown
        for r, n in grown.items():
            self.generated[r] = max(self.generated[r], n - self.case.tokens[r][0])

    def release(self, row):
        if row in self.tokens:
            self.cache.release(row, self.tokens.pop(row), self.now_ps)


class Listed:
    """A policy that logs all it is asked and told, and answers by a hash of it."""

    def __init__(self, rescore, seed):
        self.rescore, self.seed = rescore, seed
        self.log = []

    def on_evict(self, evicted):
        self.log.append(("evicted", listed(evicted)))

    def on_access(self, accessed):
        self.log.append(("accessed", listed(accessed)))

    def keep_value(self, blocks, now_s):
        assert len(blocks)
        self.log.append((now_s, listed(blocks)))
        return (blocks.id // 64 + self.seed * blocks.hits + blocks.depth) % 3


def listed(view):
    return [part.tolist() for part in view.parts()]
