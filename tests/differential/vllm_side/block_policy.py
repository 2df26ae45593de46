"""vLLM's free queue in the order of one of our eviction policies."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import nsmallest

import numpy as np
from vllm.v1.core.block_pool import BlockPool
from vllm.v1.core.kv_cache_utils import FreeKVCacheBlockQueue, KVCacheBlock
from vllm.v1.request import Request

from evaluators.scenario import Scenario
from evaluators.sim.cache.evict import Evictor, Facts
from evaluators.sim.cache.owners import Owners
from tests.differential.vllm_side.adviser import Time
from tests.differential.vllm_side.evictions import Evictions


@dataclass(slots=True)
class History:
    """What a block went through since it was allocated, and the policy's value."""

    hits: int = 0
    owner: int = 0
    inserted_ps: int = -1
    last_used_ps: int = 0
    value: float | None = None


class BlockPolicy(Evictions):
    """Takes the place of vLLM's free queue, and asks the policy as our cache does.

    ``leaving`` is the row whose blocks are being freed; the scheduler says so.
    """

    leaving: int = 0

    def __init__(
        self,
        scenario: Scenario,
        pool: BlockPool,
        requests: Mapping[str, Request],
        policy: object,
        time: Time,
    ) -> None:
        super().__init__(scenario, pool, requests)
        self.owners = Owners(scenario)
        self._evictor, self._time, self._pool = Evictor(policy, self.owners), time, pool
        if self._evictor.rescores:
            raise ValueError("rescore is 'always'; expected 'touch' with vLLM's pool")
        self._histories: dict[int, History] = defaultdict(History)
        if self._evictor.decides:
            free = pool.free_block_queue.get_all_free_blocks()
            pool.free_block_queue = ValuedQueue(free, self)

    def on_block_evicted(self, block: KVCacheBlock) -> None:
        """A block lost its contents."""
        super().on_block_evicted(block)
        content = self.content(block)
        if content is not None:
            self._evictor.evicted(content, self._time.now_ps)

    def on_block_allocated(self, block: KVCacheBlock) -> None:
        """All of its history is forgotten."""
        self._histories.pop(block.block_id, None)

    def on_block_accessed(self, block: KVCacheBlock) -> None:
        """It has to be valued anew."""
        history, content = self._histories[block.block_id], self.content(block)
        assert content is not None
        history.hits += 1
        history.value = None
        self._evictor.accessed(content, self._time.now_ps, is_hit=True)

    def released(self, block: KVCacheBlock) -> None:
        """Nobody holds a full block any more."""
        history, content = self._histories[block.block_id], self.content(block)
        assert content is not None
        now_ps = self._time.now_ps
        if history.inserted_ps < 0:
            history.inserted_ps = now_ps
            self._evictor.accessed(content, now_ps, is_hit=False)
        history.last_used_ps, history.owner = now_ps, self.leaving

    def victims(self, free: list[KVCacheBlock], n: int) -> list[KVCacheBlock]:
        """The free blocks of the lowest values, the first of equals; all are full."""
        histories = [self._histories[block.block_id] for block in free]
        new = [i for i, history in enumerate(histories) if history.value is None]
        if new:
            children = self._children()
            facts = [self._facts(free[i], histories[i], children) for i in new]
            columns = np.array(facts, dtype=np.int64).T
            values = self._evictor.values(columns, self._time.now_ps)
            for i, value in zip(new, values, strict=True):
                histories[i].value = value
        ranked = [(history.value, i) for i, history in enumerate(histories)]
        return [free[i] for _, i in nsmallest(n, ranked)]

    def _facts(
        self, block: KVCacheBlock, history: History, children: Mapping[int, int]
    ) -> Facts:
        content, tokens = self.content(block), block.block_hash_num_tokens
        assert content is not None
        assert tokens is not None
        return Facts(
            content,
            tokens // self._pool.hash_block_size - 1,
            children[content],
            history.hits,
            history.owner,
            history.inserted_ps,
            history.last_used_ps,
        )

    def _children(self) -> Mapping[int, int]:
        """How many blocks in memory continue each content."""
        count: dict[int, int] = defaultdict(int)
        for block in self._pool.blocks:
            content = self.content(block)
            if content is not None:
                parent = self.parents[content]
                if parent is not None:
                    count[parent] += 1
        return count


class ValuedQueue(FreeKVCacheBlockQueue):
    """vLLM's free queue; of full blocks, the one that the policy gives up goes first.

    Blocks without contents are at the front and go first, as ever.
    """

    def __init__(self, blocks: list[KVCacheBlock], policy: BlockPolicy) -> None:
        super().__init__(blocks)
        self._policy = policy

    def popleft_n(self, n: int) -> list[KVCacheBlock]:
        """So many blocks to be used for something else."""
        blocks: list[KVCacheBlock] = []
        head = self.fake_free_list_head
        while len(blocks) < n and head.next_free_block.block_hash is None:
            blocks.append(self.popleft())
        if len(blocks) < n:
            free = self.get_all_free_blocks()
            for block in self._policy.victims(free, n - len(blocks)):
                self.remove(block)
                blocks.append(block)
        return blocks

    def append_n(self, blocks: list[KVCacheBlock]) -> None:
        """Full blocks that nobody holds any more join at the end."""
        super().append_n(blocks)
        for block in blocks:
            self._policy.released(block)
