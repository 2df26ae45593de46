"""Hears from vLLM's block pool which contents it gives up."""

from typing import TYPE_CHECKING

from vllm.v1.core.kv_cache_utils import KVCacheBlock, get_block_hash

from tests.differential.vllm_side.contents import Contents

if TYPE_CHECKING:
    from tests.differential.vllm_side.policy_scheduler import PolicyScheduler


class Evictions:
    """Sits where vLLM's pool has its metrics; lists what was evicted, in order."""

    def __init__(self, contents: Contents, scheduler: "PolicyScheduler") -> None:
        self._contents, self._scheduler = contents, scheduler
        self._known: dict[bytes, tuple[int, int]] = {}
        self._evicted: list[bytes] = []
        scheduler.kv_cache_manager.block_pool.metrics_collector = self

    def drain(self) -> list[tuple[int, int]]:
        """Contents evicted since the last call (see ``Contents.block``)."""
        self._learn()
        evicted = [self._known[key] for key in self._evicted]
        self._evicted.clear()
        return evicted

    def _learn(self) -> None:
        """Note what the hashes of the requests stand for, while vLLM has them."""
        block_tokens = self._scheduler.block_size
        for name, request in self._scheduler.requests.items():
            for index, key in enumerate(request.block_hashes):
                if key not in self._known:
                    content = self._contents.block(int(name), index, block_tokens)
                    self._known[key] = content

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
