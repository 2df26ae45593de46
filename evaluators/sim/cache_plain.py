"""KV blocks with prefix caching, one object a block: slow, plain, and the oracle."""

from dataclasses import dataclass, field

from evaluators.scenario import Deployment
from evaluators.sim.cache import Hits
from evaluators.sim.cache_contents import Contents
from evaluators.workloads.prefixes import Prefixes


@dataclass(slots=True, eq=False)
class Block:
    """A KV block: how many requests hold it, and what it holds once it is full."""

    holders: int = 0
    content: int | None = None
    parent: int | None = None


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
    memory continues it, or another one has its content.
    """

    def __init__(
        self, deployment: Deployment, prefixes: Prefixes | None, n_rows: int
    ) -> None:
        self.block_tokens = deployment.block_tokens
        self.parents_outlive_children = deployment.parents_outlive_children
        self.contents = Contents(prefixes, n_rows, deployment.block_tokens)
        self.queue = [Block() for _ in range(deployment.kv_blocks)]
        self.known: dict[int, list[Block]] = {}
        self.tables: dict[int, Table] = {}
        self.taken: list[Block] = []
        self.hit_blocks = self.evictions = 0

    @property
    def free(self) -> int:
        """See ``Cache``."""
        return len(self.queue)

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
        self._own(table, stop)
        contents = self.contents.first(row, stop)
        for i in range(table.filled, stop):
            block = table.blocks[i]
            block.content = contents[i]
            block.parent = contents[i - 1] if i else None
            self.known.setdefault(contents[i], []).append(block)
        table.filled = max(table.filled, stop)

    def release(self, row: int, tokens: int, now_ps: int) -> None:
        """See ``Cache``."""
        self.fill(row, tokens, now_ps)
        table = self.tables.pop(row)
        self._own(table, -(-tokens // self.block_tokens))
        freed = []
        for block in reversed(table.blocks):
            block.holders -= 1
            if block.holders == 0:
                freed.append(block)
        unfilled = [block for block in freed if block.content is None]
        filled = [block for block in freed if block.content is not None]
        self.queue = unfilled + self.queue + filled

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

    def _fresh(self, n_blocks: int, now_ps: int) -> list[Block]:
        assert n_blocks <= self.free, f"{n_blocks} blocks asked, {self.free} free"
        return [self._pop(now_ps) for _ in range(n_blocks)]

    def _pop(self, now_ps: int) -> Block:
        """The next fresh block, held once; its content is forgotten."""
        block = self.victim(now_ps)
        self.queue.remove(block)
        if block.content is not None:
            self.known[block.content].remove(block)
            self.evictions += 1
        block.content = block.parent = None
        block.holders = 1
        return block

    def victim(self, now_ps: int) -> Block:
        """The free block to reuse next: the first that may be."""
        return next(block for block in self.queue if self.may_go(block))

    def may_go(self, block: Block) -> bool:
        """Whether a free block may be evicted."""
        if block.content is None or not self.parents_outlive_children:
            return True
        return len(self.known[block.content]) > 1 or not self.children(block.content)

    def children(self, content: int) -> int:
        """How many blocks in memory continue a content."""
        blocks = [block for known in self.known.values() for block in known]
        return sum(block.parent == content for block in blocks)
