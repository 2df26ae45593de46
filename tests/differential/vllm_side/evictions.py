"""Hears from vLLM's block pool which contents it gives up."""

from collections.abc import Iterable, Mapping

from vllm.v1.core.block_pool import BlockPool
from vllm.v1.core.kv_cache_utils import KVCacheBlock, get_block_hash
from vllm.v1.request import Request

from evaluators.scenario import Scenario
from evaluators.sim.cache.contents import Contents


class Evictions:
    """Sits where vLLM's pool has its metrics; lists what was evicted, in order.

    Contents are numbered as our cache numbers them; ``parents`` says what each follows.
    """

    def __init__(
        self, scenario: Scenario, pool: BlockPool, requests: Mapping[str, Request]
    ) -> None:
        trace, block_tokens = scenario.trace, scenario.deployment.block_tokens
        self._contents = Contents(trace.prefixes, len(trace), block_tokens)
        self._requests = requests
        self._learned: dict[int, int] = {}
        self._known: dict[bytes, int] = {}
        self._evicted: list[int] = []
        self.parents: dict[int, int | None] = {}
        pool.metrics_collector = self

    def learn(self, requests: Iterable[Request]) -> None:
        """Note what the block hashes of these requests stand for."""
        for request in requests:
            row, hashes = int(request.request_id), request.block_hashes
            start = self._learned.get(row, 0)
            contents = self._contents.between(row, start, len(hashes))
            self._known.update(zip(hashes[start:], contents, strict=True))
            before = self._contents.between(row, start - 1, start) if start else [None]
            self.parents.update(zip(contents, [*before, *contents], strict=False))
            self._learned[row] = len(hashes)

    def drain(self) -> list[int]:
        """Contents evicted since the last call."""
        evicted, self._evicted = self._evicted, []
        return evicted

    def content(self, block: KVCacheBlock) -> int | None:
        """What a block holds; None without contents."""
        if block.block_hash is None:
            return None
        key = get_block_hash(block.block_hash)
        if key not in self._known:
            self.learn(self._requests.values())
        return self._known[key]

    def on_block_evicted(self, block: KVCacheBlock) -> None:
        """A block is taken for something else; its old contents, if any, are lost."""
        content = self.content(block)
        if content is not None:
            self._evicted.append(content)

    def on_block_allocated(self, block: KVCacheBlock) -> None:
        """A block begins a new life."""

    def on_block_accessed(self, block: KVCacheBlock) -> None:
        """A request found a block."""

    def reset(self) -> None:
        """The pool was emptied, which no job does."""
