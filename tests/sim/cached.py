"""Random use of a cache, the same for every implementation of it."""

from typing import NamedTuple

import numpy as np

from evaluators.scenario import Deployment
from evaluators.sim.cache import prefix_cache
from evaluators.workloads.prefixes import Prefixes


class Case(NamedTuple):
    deployment: Deployment
    prefixes: Prefixes | None
    tokens: list[tuple[int, int]]
    steps: list[tuple[str, int]]


def memory(case):
    return prefix_cache(case.deployment, case.prefixes, len(case.tokens))


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
    return Case(where, None if rng.random() < 0.1 else prefixes, tokens, steps)


class Driver:
    """Plays the steps of a case; what cannot be done is left out."""

    def __init__(self, case, make):
        self.case = case
        where, n_rows = case.deployment, len(case.tokens)
        arguments = (case,) if make is memory else (where, case.prefixes, n_rows)
        self.cache = make(*arguments)
        self.block_tokens = where.block_tokens
        self.tokens = {}
        self.generated = [0] * n_rows
        self.log = []
        self.now_ps = 0

    def run(self):
        for kind, row in self.case.steps:
            self.now_ps += 1
            getattr(self, kind)(row)
            self.log.append((self.cache.free, self.cache.evictions))
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
