"""Hears from vLLM's block pool which contents it gives up."""

from collections.abc import Iterable

from vllm.v1.core.block_pool import BlockPool
from vllm.v1.core.kv_cache_utils import KVCacheBlock, get_block_hash
from vllm.v1.request import Request

from evaluators.scenario import Scenario
from evaluators.sim.cache_contents import Contents


class Evictions:
    """Sits where vLLM's pool has its metrics; lists what was evicted, in order."""

    def __init__(self, scenario: Scenario, pool: BlockPool) -> None:
        trace, block_tokens = scenario.trace, scenario.deployment.block_tokens
        self._contents = Contents(trace.prefixes, len(trace), block_tokens)
        self._learned: dict[int, int] = {}
        self._known: dict[bytes, int] = {}
        self._evicted: list[bytes] = []
        pool.metrics_collector = self

    def learn(self, requests: Iterable[Request]) -> None:
        """Note what the block hashes of these requests stand for."""
        for request in requests:
            row, hashes = int(request.request_id), request.block_hashes
            start = self._learned.get(row, 0)
            contents = self._contents.between(row, start, len(hashes))
            self._known.update(zip(hashes[start:], contents, strict=True))
            self._learned[row] = len(hashes)

    def drain(self) -> list[int]:
        """Contents evicted since the last call, as our cache numbers them."""
        evicted = [self._known[key] for key in self._evicted]
        self._evicted.clear()
        return evicted

    def contents(self, blocks: Iterable[KVCacheBlock]) -> list[int | None]:
        """What each block holds, None for one without contents."""
        return [
            None if key is None else self._known[get_block_hash(key)]
            for key in (block.block_hash for block in blocks)
        ]

    def on_block_evicted(self, block: KVCacheBlock) -> None:
        """A block is taken for something else; its old contents, if any, are lost."""
        if block.block_hash is not None:
            self._evicted.append(get_block_hash(block.block_hash))

    def on_block_allocated(self, block: KVCacheBlock) -> None:
        """Not of interest."""

    def on_block_accessed(self, block: KVCacheBlock) -> None:
        """Not of interest."""

    def reset(self) -> None:
        """The pool was emptied, which no job does."""
