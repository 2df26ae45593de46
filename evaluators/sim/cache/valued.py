"""KV blocks of one replica whose order of eviction a policy decides."""

from heapq import heapify, heappop, heappush
from itertools import islice

import numpy as np

from evaluators.scenario import Deployment, Scenario
from evaluators.sim.cache.contents import Contents
from evaluators.sim.cache.evict import CANDIDATES, VICTIMS, Evictor, Facts
from evaluators.sim.cache.owners import Owners
from evaluators.sim.cache.prefix_cache import PrefixCache

CONTENT, DEPTH, CHILDREN, HITS, OWNER, INSERTED_PS, LAST_USED_PS = range(7)
"""Rows of the columns of blocks, as ``Facts`` names them."""
Ranked = tuple[float, int, int]
"""Value of a block, when it was let go of (a count), the block."""


def memory(scenario: Scenario, eviction: object) -> PrefixCache:
    """An empty memory for one engine that evicts as the policy says.

    The engine's own order decides for None, or a policy that does not value blocks.
    """
    contents, evictor = parts(scenario, eviction)
    if not evictor.decides:
        return PrefixCache(scenario.deployment, contents)
    return ValuedCache(scenario.deployment, contents, evictor)


def parts(scenario: Scenario, eviction: object) -> tuple[Contents, Evictor]:
    """What blocks may hold, and who values them; ``eviction`` may be None."""
    trace, size = scenario.trace, scenario.deployment.block_tokens
    contents = Contents(trace.prefixes, len(trace), size)
    return contents, Evictor(eviction, Owners(scenario))


class ValuedCache(PrefixCache):
    """Memory under a policy: the block of the lowest value is evicted first.

    Blocks without content go first, as ever. Where parents outlive their children, only
    a block may go that no block in memory continues, or whose content is there twice;
    a parent that becomes a leaf comes back with the value that it had.

    ``_turn`` counts releases: a block's turn breaks ties, and a heap entry is stale
    when its turn is no longer the block's (-1 while somebody holds it).
    """

    decides = True

    def __init__(
        self, deployment: Deployment, contents: Contents, evictor: Evictor
    ) -> None:
        super().__init__(deployment, contents)
        blocks = deployment.kv_blocks
        self.evictor = evictor
        self._keeps_parents = deployment.parents_outlive_children
        self._columns = np.zeros((len(Facts._fields), blocks), dtype=np.int64)
        self._parent: list[int | None] = [None] * blocks
        self._is_new = [True] * blocks
        self._turn = [-1] * blocks
        self._turns = self._victims_left = 0
        self._children: dict[int, int] = {}
        self._pending: dict[int, None] = {}
        self._heap: list[Ranked] = []
        self._parked: dict[int, list[Ranked]] = {}

    @property
    def questions(self) -> int:
        """See ``Cache``."""
        return self.evictor.questions

    def admit(self, row: int, n_hit: int, now_ps: int) -> None:
        """See ``Cache``."""
        super().admit(row, n_hit, now_ps)
        hit = self.held(row)
        self._columns[HITS, hit] += 1
        for block in hit:
            self._turn[block] = -1
            self._pending.pop(block, None)
            self.evictor.accessed(self.content[block], now_ps, is_hit=True)

    def fill(self, row: int, tokens: int, now_ps: int) -> None:
        """See ``Cache``."""
        held = self.held(row)
        start = len(held)
        super().fill(row, tokens, now_ps)
        new = held[start:]
        if not new:
            return
        contents = [self.content[block] for block in held]
        self._columns[CONTENT, new] = contents[start:]
        self._columns[DEPTH, new] = range(start, len(held))
        self._columns[HITS, new] = 0
        for depth, block in enumerate(new, start):
            parent = contents[depth - 1] if depth else None
            self._parent[block], self._is_new[block] = parent, True
            if parent is not None:
                self._children[parent] = self._children.get(parent, 0) + 1
            if self._parked:
                self._unpark(contents[depth])

    def _let_go(self, row: int, tokens: int, blocks: list[int], now_ps: int) -> None:
        """Value what came free at the next eviction."""
        super()._let_go(row, tokens, blocks, now_ps)
        self.evictor.owners.leave(row, tokens)
        new = [block for block in blocks if self._is_new[block]]
        for block in new:
            self._is_new[block] = False
            self.evictor.accessed(self.content[block], now_ps, is_hit=False)
        self._columns[INSERTED_PS, new] = now_ps
        self._columns[LAST_USED_PS, blocks] = now_ps
        self._columns[OWNER, blocks] = row
        for turn, block in enumerate(blocks, self._turns):
            self._turn[block] = turn
        self._turns += len(blocks)
        self._pending.update(dict.fromkeys(blocks))

    def evict(self, n_blocks: int, now_ps: int) -> None:
        """Drop the contents of so many free blocks, the lowest values first."""
        if not self.evictor.rescores:
            self._rank_pending(now_ps)
            dropped = self._drop_lowest(n_blocks, now_ps)
            assert dropped == n_blocks, "no block in memory may go"
            return
        while n_blocks:
            asks = not self._victims_left
            if asks:
                self._rank_candidates(now_ps)
            dropped = self._drop_lowest(min(n_blocks, self._victims_left), now_ps)
            self._victims_left = self._victims_left - dropped if dropped else 0
            if asks and not dropped:
                first = next(block for block in self.order if self._may_go(block))
                self._let_drop(first, now_ps)
                dropped = 1
            n_blocks -= dropped

    def drop(self, block: int) -> None:
        """See ``PrefixCache``."""
        super().drop(block)
        parent = self._parent[block]
        if parent is None:
            return
        self._children[parent] -= 1
        if not self._children[parent]:
            del self._children[parent]
            if self._parked:
                self._unpark(parent)

    def _drop_lowest(self, most: int, now_ps: int) -> int:
        """Drop up to ``most`` ranked blocks; how many could be dropped."""
        for dropped in range(most):
            block = self._lowest()
            if block is None:
                return dropped
            self._let_drop(block, now_ps)
        return most

    def _let_drop(self, block: int, now_ps: int) -> None:
        del self.order[block]
        self._turn[block] = -1
        self._pending.pop(block, None)
        self.evictor.evicted(self.content[block], now_ps)
        self.drop(block)

    def _lowest(self) -> int | None:
        """The ranked block of the lowest value that may go; None if none may."""
        while self._heap:
            ranked = heappop(self._heap)
            block = ranked[2]
            if self._turn[block] != ranked[1]:
                continue
            if self._may_go(block):
                return block
            self._parked.setdefault(self.content[block], []).append(ranked)
        return None

    def _may_go(self, block: int) -> bool:
        content = self.content[block]
        if not self._keeps_parents or content not in self._children:
            return True
        return self.copies(content) > 1

    def _unpark(self, content: int) -> None:
        for ranked in self._parked.pop(content, ()):
            heappush(self._heap, ranked)

    def _rank_candidates(self, now_ps: int) -> None:
        candidates = list(islice(self.order, CANDIDATES))
        self._heap = self._valued(candidates, now_ps)
        self._parked.clear()
        self._victims_left = VICTIMS

    def _rank_pending(self, now_ps: int) -> None:
        if len(self._heap) > 2 * len(self.order) + 64:
            self._heap = [r for r in self._heap if self._turn[r[2]] == r[1]]
            heapify(self._heap)
        if not self._pending:
            return
        blocks, self._pending = list(self._pending), {}
        for ranked in self._valued(blocks, now_ps):
            heappush(self._heap, ranked)

    def _valued(self, blocks: list[int], now_ps: int) -> list[Ranked]:
        """A heap of the blocks by the policy's values."""
        facts = self._columns[:, blocks]
        children = self._children
        facts[CHILDREN] = [children.get(c, 0) for c in facts[CONTENT].tolist()]
        values = self.evictor.values(facts, now_ps)
        turns = [self._turn[block] for block in blocks]
        heap = list(zip(values, turns, blocks, strict=True))
        heapify(heap)
        return heap
