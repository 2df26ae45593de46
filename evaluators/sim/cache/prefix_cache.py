"""KV blocks of one replica with prefix caching, as vLLM 0.32's BlockPool keeps them.

``PrefixCache`` evicts in the engine's own order, ``valued.py`` in a policy's;
``plain.py`` is the oracle.
"""

from collections import OrderedDict
from typing import NamedTuple, Protocol

from evaluators.scenario import Deployment
from evaluators.sim.cache.contents import Contents


class Hits(NamedTuple):
    """Leading blocks of a request that are in memory, and how many nobody holds."""

    blocks: int
    free: int


class Cache(Protocol):
    """Memory of one replica. The engine asks ``free`` before it takes.

    A request lives here from ``admit`` to ``release``: it is admitted on the blocks
    found (none, too), grows by fresh blocks, fills them, and lets go of all of them. It
    may come again after a preemption. The calls of an admission come in the order
    ``hits``, ``admit``, ``grow``, ``fill``; times never go back.
    """

    contents: Contents
    hit_blocks: int
    evictions: int

    @property
    def free(self) -> int:
        """Blocks that can be had now: never used, released unfilled, or evictable."""
        ...

    @property
    def questions(self) -> int:
        """Questions to the policy that decides what is evicted."""
        ...

    @property
    def decides(self) -> bool:
        """Whether a policy is asked what to evict."""
        ...

    @property
    def unfilled(self) -> int:
        """Blocks that can be had without evicting anything."""
        ...

    @property
    def has_copies(self) -> bool:
        """Whether a content is in memory twice."""
        ...

    @property
    def is_listed(self) -> bool:
        """Whether anybody has asked for ``changes``."""
        ...

    def changes(self) -> list[int]:
        """Contents that came into memory or left it since the last call.

        One that came and left is listed twice. The first call lists what is there.
        """
        ...

    def hits(self, row: int, goal: int) -> Hits:
        """Longest run of leading full blocks in memory; nothing changes.

        At most (goal - 1) // block_tokens, where ``goal`` is the tokens of the request
        as of now (prompt and generated): one token is always left to compute. Those
        that nobody holds count as free, so an admission to ``n`` tokens needs
        blocks(n) - hits.blocks + hits.free <= free.
        """
        ...

    def admit(self, row: int, n_hit: int, now_ps: int) -> None:
        """The request holds these leading blocks from now on; call it with 0, too."""
        ...

    def grow(self, row: int, n_blocks: int, now_ps: int) -> None:
        """The request takes so many fresh blocks, at most ``free``."""
        ...

    def grow_all(self, n_blocks: int, now_ps: int) -> None:
        """Decoding requests together take so many; who did shows at release."""
        ...

    def fill(self, row: int, tokens: int, now_ps: int) -> None:
        """So many tokens of the request are computed, or are in the step scheduled now.

        Its full blocks can be found from now on.
        """
        ...

    def cancel(self, row: int, n_blocks: int) -> None:
        """The request, which has taken so many and filled none, does not come."""
        ...

    def release(
        self, row: int, tokens: int, now_ps: int, filled: int | None = None
    ) -> None:
        """The request, with blocks for so many tokens, lets go of all, tail first.

        ``filled`` of them can be found from now on, None for all.
        """
        ...


class PrefixCache:
    """Memory under the engine's own order: the longest unused block is evicted first.

    Semantics of vLLM 0.32. A full block has its content from the step that fills it.
    Released blocks without content go to the front of the free queue, so a counter is
    enough for them; those with content to its end, the tail of a request first. A hit
    takes a free block out of the queue. Contents can be in memory twice: of copies, the
    one filled first is found.

    That order never evicts a block before one that continues it (a request lets go of a
    continuation first), so radix semantics change nothing here.

    A block with content is an index into the columns below; there are at most as many
    as blocks.
    """

    decides = False

    def __init__(self, deployment: Deployment, contents: Contents) -> None:
        blocks = deployment.kv_blocks
        self.block_tokens = deployment.block_tokens
        self.contents = contents
        self.free = self.unfilled = blocks
        self.hit_blocks = self.evictions = 0
        self.order: OrderedDict[int, None] = OrderedDict()
        self.content = [0] * blocks
        self.holders = [0] * blocks
        self._spare = list(range(blocks - 1, -1, -1))
        self._found: dict[int, int] = {}
        self._copies: dict[int, list[int]] = {}
        self._held: dict[int, list[int]] = {}
        self._looked_up: tuple[int, int, list[int]] = (-1, 0, [])
        self._changes: list[int] | None = None

    @property
    def questions(self) -> int:
        """See ``Cache``."""
        return 0

    @property
    def has_copies(self) -> bool:
        """See ``Cache``."""
        return bool(self._copies)

    @property
    def is_listed(self) -> bool:
        """See ``Cache``."""
        return self._changes is not None

    def changes(self) -> list[int]:
        """See ``Cache``."""
        found = list(self._found) if self._changes is None else self._changes
        self._changes = []
        return found

    def hits(self, row: int, goal: int) -> Hits:
        """See ``Cache``."""
        found, hit = self._found, list[int]()
        for content in self.contents.first(row, (goal - 1) // self.block_tokens):
            block = found.get(content)
            if block is None:
                break
            hit.append(block)
        self._looked_up = (row, len(hit), hit)
        holders = self.holders
        return Hits(len(hit), sum(not holders[block] for block in hit))

    def admit(self, row: int, n_hit: int, now_ps: int) -> None:
        """See ``Cache``."""
        looked_up, found, hit = self._looked_up
        assert (looked_up, found) == (row, n_hit), "admit must follow its own hits"
        order, holders = self.order, self.holders
        for block in hit:
            if not holders[block]:
                del order[block]
                self.free -= 1
            holders[block] += 1
        self.hit_blocks += n_hit
        self._held[row] = hit
        self._looked_up = (-1, 0, [])

    def grow(self, row: int, n_blocks: int, now_ps: int) -> None:
        """See ``Cache``."""
        self.grow_all(n_blocks, now_ps)

    def grow_all(self, n_blocks: int, now_ps: int) -> None:
        """See ``Cache``."""
        assert n_blocks <= self.free, f"{n_blocks} blocks asked, {self.free} free"
        self.free -= n_blocks
        short = n_blocks - self.unfilled
        self.unfilled = max(0, -short)
        if short > 0:
            self.evict(short, now_ps)

    def fill(self, row: int, tokens: int, now_ps: int) -> None:
        """See ``Cache``."""
        held = self._held[row]
        start, stop = len(held), tokens // self.block_tokens
        if stop <= start:
            return
        contents = self.contents.between(row, start, stop)
        blocks = self._spare[-len(contents) :]
        del self._spare[-len(contents) :]
        for block, content in zip(blocks, contents, strict=True):
            self.content[block] = content
            self.holders[block] = 1
            if self._found.setdefault(content, block) != block:
                self._copies.setdefault(content, []).append(block)
            elif self._changes is not None:
                self._changes.append(content)
        held += blocks

    def cancel(self, row: int, n_blocks: int) -> None:
        """See ``Cache``."""
        assert not self._held.pop(row), f"request {row} has filled blocks"
        self.contents.forget(row)
        self.unfilled += n_blocks
        self.free += n_blocks

    def release(
        self, row: int, tokens: int, now_ps: int, filled: int | None = None
    ) -> None:
        """See ``Cache``."""
        self.fill(row, tokens if filled is None else filled, now_ps)
        held = self._held.pop(row)
        self.contents.forget(row)
        holders, freed = self.holders, list[int]()
        for block in reversed(held):
            holders[block] -= 1
            if not holders[block]:
                freed.append(block)
        self.order.update(dict.fromkeys(freed))
        unfilled = -(-tokens // self.block_tokens) - len(held)
        self.unfilled += unfilled
        self.free += len(freed) + unfilled
        self._let_go(row, tokens, freed, now_ps)

    def _let_go(self, row: int, tokens: int, blocks: list[int], now_ps: int) -> None:
        """Blocks came free as a request left with so many tokens computed."""

    def held(self, row: int) -> list[int]:
        """Blocks with content that a request holds, in order."""
        return self._held[row]

    def evict(self, n_blocks: int, now_ps: int) -> None:
        """Drop the contents of so many free blocks, the longest unused first."""
        for _ in range(n_blocks):
            self.drop(self.order.popitem(last=False)[0])

    def drop(self, block: int) -> None:
        """Forget the content of a block that has left the order."""
        self.evictions += 1
        self._spare.append(block)
        content = self.content[block]
        copies = self._copies.get(content)
        if copies is None:
            del self._found[content]
            if self._changes is not None:
                self._changes.append(content)
            return
        if self._found[content] == block:
            self._found[content] = copies.pop(0)
        else:
            copies.remove(block)
        if not copies:
            del self._copies[content]

    def copies(self, content: int) -> int:
        """How many blocks hold a content."""
        if content not in self._found:
            return 0
        return 1 + len(self._copies.get(content, ()))
