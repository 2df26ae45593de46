"""Replay of block chains against one pooled cache: what prefix reuse is worth at most.

No engine and no time: a request touches all its blocks at once, and hits the leading
ones that are in memory. Among equals the deepest block goes first. So the curves of
papers and of other simulators can be met, and a policy's hit rate be held against the
optimum.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import pairwise, takewhile
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rule = Callable[["Chains", int], Ints]
"""Leading blocks found by each request, shape (n_requests,), at so many blocks."""
Worth = Callable[[Ints, Floats], Floats]
"""Worth of keeping blocks, given how often they were used and how long ago."""


class Chains(NamedTuple):
    """Blocks of requests in order of time: request i has ids[offsets[i]:offsets[i+1]].

    Ids are 0 to ``n_ids`` - 1; equal ids are equal blocks after equal blocks.
    """

    offsets: Ints
    ids: Ints
    n_ids: int

    @classmethod
    def of(cls, offsets: Ints, ids: Ints) -> Self:
        """Chains of any ids that already tell blocks after other blocks apart."""
        known, dense = np.unique(ids, return_inverse=True)
        return cls(offsets, dense.astype(np.int64), len(known))

    @classmethod
    def of_chunks(cls, offsets: Ints, chunks: Ints) -> Self:
        """Chains of chunks that are only worth something after the same chunks."""
        nodes: dict[tuple[int, int], int] = {}
        ids = np.empty(len(chunks), dtype=np.int64)
        listed = chunks.tolist()
        for start, stop in pairwise(offsets.tolist()):
            node = -1
            for at in range(start, stop):
                node = nodes.setdefault((node, listed[at]), len(nodes))
                ids[at] = node
        return cls(offsets, ids, len(nodes))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def rows(self) -> Iterator[list[int]]:
        """Ids of each request, in order of time."""
        listed = self.ids.tolist()
        return (listed[start:stop] for start, stop in pairwise(self.offsets.tolist()))

    def depths(self) -> Ints:
        """Blocks before each block, one entry an id."""
        depth = np.zeros(self.n_ids, dtype=np.int64)
        starts = np.repeat(self.offsets[:-1], np.diff(self.offsets))
        depth[self.ids] = np.arange(len(self.ids)) - starts
        return depth


def hit_share(chains: Chains, hits: Ints, sizes: Ints | None = None) -> Floats:
    """Share of blocks found, over all requests and over the second half of them.

    ``sizes`` weighs the blocks, one entry a place in ``chains.ids``: their tokens.
    """
    sizes = np.ones(len(chains.ids), dtype=np.int64) if sizes is None else sizes
    before = np.concatenate([[0], np.cumsum(sizes)])
    starts = chains.offsets[:-1]
    found = before[starts + hits] - before[starts]
    asked = before[chains.offsets[1:]] - before[starts]
    halves = (slice(None), slice(len(chains) // 2, None))
    return np.array([found[half].sum() / max(1, asked[half].sum()) for half in halves])


def least_recent(chains: Chains, n_blocks: int) -> Ints:
    """LRU: the longest unused block goes first."""
    return _queued(chains, n_blocks, renews=True)


def first_in(chains: Chains, n_blocks: int) -> Ints:
    """FIFO: the block that came first goes first, whatever was found."""
    return _queued(chains, n_blocks, renews=False)


def least_frequent(chains: Chains, n_blocks: int) -> Ints:
    """LFU: the least used block goes first, among equals the longest unused.

    Uses are counted over the whole replay, through evictions.
    """
    hits = np.zeros(len(chains), dtype=np.int64)
    uses, is_here = [0] * chains.n_ids, bytearray(chains.n_ids)
    depth, n_here = chains.depths().tolist(), 0
    heap: list[tuple[int, int, int, int]] = []
    for row, blocks in enumerate(chains.rows()):
        hits[row] = sum(1 for _ in takewhile(is_here.__getitem__, blocks))
        for block in blocks:
            n_here += not is_here[block]
            is_here[block] = 1
            uses[block] += 1
            heappush(heap, (uses[block], row, -depth[block], block))
        while n_here > n_blocks:
            counted, _, _, block = heappop(heap)
            if is_here[block] and uses[block] == counted:
                is_here[block] = 0
                n_here -= 1
    return hits


def optimal(chains: Chains, n_blocks: int) -> Ints:
    """Belady's rule: the block whose next use is furthest goes first, or never comes.

    No rule finds more blocks in all, whether or not hits must be contiguous. Without
    that condition Belady's rule with bypass is optimal (Belady 1966; Mattson et al.
    1970); a block is used whenever one after it is, so its next use is never later,
    and as among equals the deepest goes first, what is in memory is closed towards the
    root: here every block found is found contiguously.
    """
    hits, clairvoyant = np.zeros(len(chains), dtype=np.int64), _Furthest(chains)
    after = _next_uses(chains)
    clairvoyant.n_free = n_blocks
    for row, ((start, stop), blocks) in enumerate(
        zip(pairwise(chains.offsets.tolist()), chains.rows(), strict=True)
    ):
        hits[row] = clairvoyant.leading(blocks)
        for block, next_use in zip(blocks, after[start:stop], strict=True):
            if not clairvoyant.keep(block, next_use):
                break
    return hits


RULES: Mapping[str, Rule] = {
    "fifo": first_in,
    "lru": least_recent,
    "lfu": least_frequent,
    "optimal": optimal,
}


def valued(chains: Chains, n_blocks: int, worth: Worth, now: Floats) -> Ints:
    """Leading blocks found where the blocks of the least worth go first.

    Request i comes at ``now[i]``, in whatever unit the worth takes ages in. Uses are
    counted over the whole replay, through evictions; among equals the longest unused
    goes first.
    """
    hits = np.zeros(len(chains), dtype=np.int64)
    uses = np.zeros(chains.n_ids, dtype=np.int64)
    last = np.zeros(chains.n_ids, dtype=np.int64)
    is_here = np.zeros(chains.n_ids, dtype=bool)
    depth = chains.depths()
    deepest = int(depth.max(initial=0)) + 1
    here = np.zeros(0, dtype=np.int64)
    for row, (start, stop) in enumerate(pairwise(chains.offsets.tolist())):
        blocks = chains.ids[start:stop]
        found = is_here[blocks]
        hits[row] = len(blocks) if found.all() else int(found.argmin())
        uses[blocks] += 1
        last[blocks] = row
        is_here[blocks] = True
        here = np.concatenate([here, blocks[~found]])
        surplus = len(here) - n_blocks
        if surplus > 0:
            value = worth(uses[here], now[row] - now[last[here]])
            goes = _least(value, last[here] * deepest - depth[here], surplus)
            is_here[here[goes]] = False
            here = here[~goes]
    return hits


def _least(value: Floats, rank: Ints, n: int) -> NDArray[np.bool_]:
    """Which n are worth the least, of equals those of the least rank."""
    limit = np.partition(value, n - 1)[n - 1]
    goes: NDArray[np.bool_] = value < limit
    equal = np.flatnonzero(value == limit)
    left = n - np.count_nonzero(goes)
    goes[equal[np.argpartition(rank[equal], left - 1)[:left]]] = True
    return goes


def _queued(chains: Chains, n_blocks: int, *, renews: bool) -> Ints:
    hits = np.zeros(len(chains), dtype=np.int64)
    here: OrderedDict[int, None] = OrderedDict()
    for row, blocks in enumerate(chains.rows()):
        hits[row] = sum(1 for _ in takewhile(here.__contains__, blocks))
        # The deepest comes first into the queue, so that it goes first.
        if renews:
            for block in blocks:
                here.pop(block, None)
        here.update(dict.fromkeys(reversed(blocks)))
        for _ in range(len(here) - n_blocks):
            here.popitem(last=False)
    return hits


def _next_uses(chains: Chains) -> list[int]:
    """Request that uses each entry's block next; a request past the end for none."""
    rows = np.repeat(np.arange(len(chains)), np.diff(chains.offsets))
    order = np.argsort(chains.ids, kind="stable")
    again = chains.ids[order[:-1]] == chains.ids[order[1:]]
    after = np.full(len(order), len(chains) + 1)
    after[order[:-1][again]] = rows[order[1:][again]]
    return list(after.tolist())


class _Furthest:
    """What a clairvoyant keeps.

    ``_due`` is when a block is used next, -1 if it is not in memory; a heap entry is
    stale when it says otherwise.
    """

    def __init__(self, chains: Chains) -> None:
        self.n_free = 0
        self._due: list[int] = [-1] * chains.n_ids
        self._depth: list[int] = chains.depths().tolist()
        self._heap: list[tuple[int, int, int]] = []

    def leading(self, blocks: list[int]) -> int:
        """Leading blocks in memory."""
        due = self._due
        return sum(1 for _ in takewhile(lambda block: due[block] >= 0, blocks))

    def keep(self, block: int, next_use: int) -> bool:
        """Have a block that is used then; False if all others are used sooner."""
        if self._due[block] < 0:
            if not self.n_free and not self._make_room(next_use):
                return False
            self.n_free -= 1
        self._due[block] = next_use
        heappush(self._heap, (-next_use, -self._depth[block], block))
        return True

    def _make_room(self, next_use: int) -> bool:
        """Drop the block used last, the deepest of equals, if that is after then."""
        while True:
            furthest = heappop(self._heap)
            due, block = -furthest[0], furthest[2]
            if self._due[block] != due:
                continue
            if due <= next_use:
                heappush(self._heap, furthest)
                return False
            self._due[block] = -1
            self.n_free += 1
            return True
