"""KV blocks of one engine: how many can be had, and who takes and lets go of them."""

from evaluators.scenario import Deployment
from evaluators.sim.cache.prefix_cache import Cache


class KvMemory:
    """A count of free blocks, and with a ``cache`` what the others hold.

    ``free`` counts the blocks that can be had, those of the cache that nobody holds
    included; ``reserved`` are blocks of requests that are still to come.
    """

    __slots__ = ("block_tokens", "cache", "free", "least_free", "reserved")

    def __init__(self, deployment: Deployment, cache: Cache | None) -> None:
        self.block_tokens = deployment.block_tokens
        self.cache = cache
        self.free = self.least_free = deployment.kv_blocks
        self.reserved: dict[int, int] = {}

    def blocks(self, tokens: int) -> int:
        """KV blocks that hold so many tokens."""
        return -(-tokens // self.block_tokens)

    @property
    def unasked(self) -> int:
        """Blocks that can be had without asking a policy what to evict for them."""
        cache = self.cache
        return cache.unfilled if cache is not None and cache.decides else self.free

    def hits(self, row: int, goal: int) -> tuple[int, int]:
        """Leading blocks of a request in the cache, and how many count as free."""
        return (0, 0) if self.cache is None else self.cache.hits(row, goal)

    def take(self, blocks: int, now_ps: int) -> None:
        """Allocate blocks of decoding requests, or uncached; there must be enough."""
        if self.cache is not None:
            self.cache.grow_all(blocks, now_ps)
        self._spend(blocks)

    def grow(self, row: int, blocks: int, tokens: int, now_ps: int) -> None:
        """Allocate blocks of a request in prefill, which then computes up to tokens."""
        if self.cache is not None:
            self.cache.grow(row, blocks, now_ps)
            self.cache.fill(row, tokens, now_ps)
        self._spend(blocks)

    def fill(self, row: int, tokens: int, now_ps: int) -> None:
        """A decoding request, whose blocks are taken, computes up to so many tokens."""
        if self.cache is not None:
            self.cache.fill(row, tokens, now_ps)

    def reuse(self, row: int, n_hit: int, now_ps: int) -> None:
        """A request holds so many leading blocks that were found in the cache."""
        assert self.cache is not None
        self.cache.admit(row, n_hit, now_ps)
        self.free = self.cache.free

    def release(
        self, row: int, tokens: int, now_ps: int, filled: int | None = None
    ) -> None:
        """A request lets go of the blocks of so many tokens, see ``Cache``."""
        if self.cache is None:
            self.free += self.blocks(tokens)
        else:
            self.cache.release(row, tokens, now_ps, filled)
            self.free = self.cache.free

    def reserve(self, row: int, blocks: int, now_ps: int) -> bool:
        """Keep so many blocks in all for a request to come; False if there are none."""
        had = self.reserved.get(row)
        more = blocks - (had or 0)
        if more > self.free:
            return False
        if self.cache is not None:
            if had is None:
                self.cache.admit(row, self.cache.hits(row, 1)[0], now_ps)
            self.cache.grow(row, more, now_ps)
        self.reserved[row] = blocks
        self._spend(more)
        return True

    def cancel(self, row: int) -> None:
        """A request for which memory was reserved does not come."""
        blocks = self.reserved.pop(row)
        self.free += blocks
        if self.cache is not None:
            self.cache.cancel(row, blocks)

    def _spend(self, blocks: int) -> None:
        self.free -= blocks
        self.least_free = min(self.least_free, self.free)
