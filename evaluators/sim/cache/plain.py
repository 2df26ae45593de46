"""KV blocks with prefix caching, one object a block: slow, plain, and the oracle."""

from dataclasses import dataclass, field

import numpy as np

from evaluators.scenario import Deployment
from evaluators.sim.cache.contents import Contents
from evaluators.sim.cache.evict import CANDIDATES, VICTIMS, Evictor, Facts
from evaluators.sim.cache.prefix_cache import Hits
from evaluators.workloads.prefixes import Prefixes


@dataclass(slots=True, eq=False)
class Block:
    """A KV block: who holds it, what it holds once it is full, and its history.

    ``value`` is the policy's, None until it is asked.
    """

    holders: int = 0
    content: int | None = None
    parent: int | None = None
    depth: int = 0
    hits: int = 0
    owner: int = 0
    inserted_ps: int = -1
    last_used_ps: int = 0
    value: float | None = None


@dataclass(slots=True)
class Table:
    """Blocks of one request in order; the first ``filled`` have contents."""

    blocks: list[Block] = field(default_factory=list)
    filled: int = 0


class PlainCache:
    """The memory of ``PrefixCache``, done as vLLM 0.32's BlockPool does it.

    ``queue`` is the free queue, its front first; ``known`` the blocks of each content,
    the first filled first; ``taken`` holds what ``grow_all`` took until its owners
    show. Where parents outlive their children, a block is evicted only when no block in
    memory continues it, or another one has its content. An evictor that decides values
    blocks; without one the first of the queue goes.
    """

    def __init__(
        self,
        deployment: Deployment,
        prefixes: Prefixes | None,
        n_rows: int,
        evictor: Evictor | None = None,
    ) -> None:
        self.evictor = evictor if evictor and evictor.decides else None
        self._victims_left = 0
        self.block_tokens = deployment.block_tokens
        self.parents_outlive_children = deployment.parents_outlive_children
        self.contents = Contents(prefixes, n_rows, deployment.block_tokens)
        self.queue = [Block() for _ in range(deployment.kv_blocks)]
        self.known: dict[int, list[Block]] = {}
        self.tables: dict[int, Table] = {}
        self.taken: list[Block] = []
        self.hit_blocks = self.evictions = 0
        self.told: set[int] | None = None

    @property
    def free(self) -> int:
        """See ``Cache``."""
        return len(self.queue)

    @property
    def decides(self) -> bool:
        """See ``Cache``."""
        return self.evictor is not None

    @property
    def unfilled(self) -> int:
        """See ``Cache``."""
        return sum(block.content is None for block in self.queue)

    @property
    def questions(self) -> int:
        """See ``Cache``."""
        return self.evictor.questions if self.evictor else 0

    @property
    def has_copies(self) -> bool:
        """See ``Cache``."""
        return any(len(blocks) > 1 for blocks in self.known.values())

    @property
    def is_listed(self) -> bool:
        """See ``Cache``."""
        return self.told is not None

    def changes(self) -> list[int]:
        """See ``Cache``; what came and left since is not listed."""
        there = {content for content, blocks in self.known.items() if blocks}
        changed, self.told = there ^ (self.told or set()), there
        return list(changed)

    def hits(self, row: int, goal: int) -> Hits:
        """See ``Cache``."""
        hit = self._find(row, (goal - 1) // self.block_tokens)
        return Hits(len(hit), sum(block.holders == 0 for block in hit))

    def admit(self, row: int, n_hit: int, now_ps: int) -> None:
        """See ``Cache``."""
        hit = self._find(row, n_hit)
        assert len(hit) == n_hit, f"{n_hit} blocks admitted, {len(hit)} in memory"
        for block in hit:
            if block.holders == 0:
                self.queue.remove(block)
            block.holders += 1
            block.hits += 1
            block.value = None
            self._tell(block, now_ps, is_hit=True)
        self.hit_blocks += n_hit
        self.tables[row] = Table(hit, n_hit)

    def grow(self, row: int, n_blocks: int, now_ps: int) -> None:
        """See ``Cache``."""
        self.tables[row].blocks += self._fresh(n_blocks, now_ps)

    def grow_all(self, n_blocks: int, now_ps: int) -> None:
        """See ``Cache``."""
        self.taken += self._fresh(n_blocks, now_ps)

    def fill(self, row: int, tokens: int, now_ps: int) -> None:
        """See ``Cache``."""
        table = self.tables[row]
        stop = tokens // self.block_tokens
        if stop <= table.filled:
            return
        self._own(table, stop)
        contents = self.contents.first(row, stop)
        for i in range(table.filled, stop):
            block = table.blocks[i]
            block.content = contents[i]
            block.parent = contents[i - 1] if i else None
            block.depth = i
            self.known.setdefault(contents[i], []).append(block)
        table.filled = stop

    def cancel(self, row: int, n_blocks: int) -> None:
        """See ``Cache``."""
        table = self.tables.pop(row)
        assert not table.filled and len(table.blocks) == n_blocks, f"request {row}"
        for block in table.blocks:
            block.holders = 0
        self.queue = table.blocks + self.queue

    def release(
        self, row: int, tokens: int, now_ps: int, filled: int | None = None
    ) -> None:
        """See ``Cache``."""
        self.fill(row, tokens if filled is None else filled, now_ps)
        table = self.tables.pop(row)
        self._own(table, -(-tokens // self.block_tokens))
        freed = []
        for block in reversed(table.blocks):
            block.holders -= 1
            if block.holders == 0:
                freed.append(block)
        unfilled = [block for block in freed if block.content is None]
        full = [block for block in freed if block.content is not None]
        self.queue = unfilled + self.queue + full
        for block in full:
            self._note_release(block, row, now_ps)
        if self.evictor:
            self.evictor.owners.leave(row, tokens)

    def _find(self, row: int, most: int) -> list[Block]:
        hit = []
        for content in self.contents.first(row, most):
            blocks = self.known.get(content)
            if not blocks:
                break
            hit.append(blocks[0])
        return hit

    def _own(self, table: Table, n_blocks: int) -> None:
        """Give a request what ``grow_all`` took for it."""
        while len(table.blocks) < n_blocks:
            table.blocks.append(self.taken.pop())

    def _note_release(self, block: Block, row: int, now_ps: int) -> None:
        if block.inserted_ps < 0:
            block.inserted_ps = now_ps
            self._tell(block, now_ps, is_hit=False)
        block.last_used_ps, block.owner = now_ps, row

    def _tell(self, block: Block, now_ps: int, *, is_hit: bool) -> None:
        if self.evictor:
            assert block.content is not None
            self.evictor.accessed(block.content, now_ps, is_hit=is_hit)

    def _fresh(self, n_blocks: int, now_ps: int) -> list[Block]:
        assert n_blocks <= self.free, f"{n_blocks} blocks asked, {self.free} free"
        return [self._pop(now_ps) for _ in range(n_blocks)]

    def _pop(self, now_ps: int) -> Block:
        """The next fresh block, held once; all of its history is forgotten."""
        block = self.queue[0]
        if block.content is not None:
            block = self._victim(now_ps)
            assert block.content is not None
            self.known[block.content].remove(block)
            self.evictions += 1
            if self.evictor:
                self.evictor.evicted(block.content, now_ps)
        self.queue.remove(block)
        return Block(holders=1)

    def _victim(self, now_ps: int) -> Block:
        """The full free block to evict next: the lowest value, then the first."""
        if self.evictor is None:
            return next(block for block in self.queue if self.may_go(block))
        if self.evictor.rescores:
            return self._rescored(self.evictor, now_ps)
        new = [block for block in self.queue if block.value is None]
        if new:
            self._ask(self.evictor, new, now_ps)
        return self._lowest() or self.queue[0]

    def _rescored(self, evictor: Evictor, now_ps: int) -> Block:
        """The same where one question serves only so many victims."""
        lowest = self._lowest() if self._victims_left else None
        if lowest is None:
            for block in self.queue:
                block.value = None
            self._ask(evictor, self.queue[:CANDIDATES], now_ps)
            self._victims_left = VICTIMS
            lowest = self._lowest()
        self._victims_left -= 1
        if lowest is None:
            self._victims_left = 0
            return next(block for block in self.queue if self.may_go(block))
        return lowest

    def _lowest(self) -> Block | None:
        """The valued free block of the lowest value that may go."""
        ranked = [
            (block.value, place)
            for place, block in enumerate(self.queue)
            if block.value is not None and self.may_go(block)
        ]
        return self.queue[min(ranked)[1]] if ranked else None

    def _ask(self, evictor: Evictor, blocks: list[Block], now_ps: int) -> None:
        """Let the policy value blocks."""
        facts = np.array([self._facts(block) for block in blocks], dtype=np.int64).T
        for block, value in zip(blocks, evictor.values(facts, now_ps), strict=True):
            block.value = value

    def _facts(self, block: Block) -> Facts:
        content = block.content
        assert content is not None
        return Facts(
            content,
            block.depth,
            self.children(content),
            block.hits,
            block.owner,
            block.inserted_ps,
            block.last_used_ps,
        )

    def may_go(self, block: Block) -> bool:
        """Whether a free block may be evicted."""
        if block.content is None or not self.parents_outlive_children:
            return True
        return len(self.known[block.content]) > 1 or not self.children(block.content)

    def children(self, content: int) -> int:
        """How many blocks in memory continue a content."""
        blocks = [block for known in self.known.values() for block in known]
        return sum(block.parent == content for block in blocks)
