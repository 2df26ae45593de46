"""Does to vLLM's block pool what was done to ours: JSON lines in, what it shows out.

    python -m tests.differential.vllm_side.pool_driver JOBS OUT

A job is a scenario with ``operations``: (name, row, tokens) each. ``hits`` looks a
request up that has so many tokens, ``allocate`` lets it compute up to so many,
``release`` lets go of it. ``Pool.shown`` says what is noted after each.
"""

import json
import sys
from pathlib import Path

from vllm.sampling_params import SamplingParams
from vllm.v1.core.kv_cache_manager import KVCacheManager
from vllm.v1.request import Request

from tests.differential.vllm_side.build import hasher_of, pool_of
from tests.differential.vllm_side.evictions import Evictions
from tests.differential.vllm_side.job import Job, Json, from_json
from tests.differential.vllm_side.tokens import Tokens


class Pool:
    """vLLM's memory of one engine, and requests that use it."""

    def __init__(self, job: Job) -> None:
        scenario, trace = job.scenario, job.scenario.trace
        block_tokens = scenario.deployment.block_tokens
        self._tokens = Tokens(trace)
        self._manager = KVCacheManager(
            pool_of(scenario.deployment),
            max_model_len=int((trace.prompt_tokens + trace.output_tokens).max()) + 1,
            scheduler_block_size=block_tokens,
            hash_block_size=block_tokens,
        )
        hasher = hasher_of(scenario.deployment)
        self._requests = [
            Request(
                request_id=str(row),
                prompt_token_ids=self._tokens.of(row)[:prompt],
                sampling_params=SamplingParams(max_tokens=1 << 20),
                pooling_params=None,
                block_hasher=hasher,
            )
            for row, prompt in enumerate(trace.prompt_tokens.tolist())
        ]
        named = {request.request_id: request for request in self._requests}
        self._evictions = Evictions(scenario, self._manager.block_pool, named)
        self._running: set[int] = set()
        self._found = (0, 0)

    def do(self, name: str, row: int, tokens: int) -> Json:
        """Do one operation; what the pool shows then."""
        self._found = (0, 0)
        getattr(self, name)(row, tokens)
        self._evictions.learn(self._requests)
        pool = self._manager.block_pool
        free = pool.free_block_queue.get_all_free_blocks()
        return {
            "found": self._found,
            "free": pool.get_num_free_blocks(),
            "evicted": self._evictions.drain(),
            "queue": [self._evictions.content(block) for block in free],
        }

    def hits(self, row: int, tokens: int) -> None:
        """Look up; leading blocks in memory, and those of them that nobody holds."""
        blocks, _, _ = self._manager.get_computed_blocks(self._grown(row, tokens))
        found = blocks.blocks[0]
        self._found = len(found), sum(block.ref_cnt == 0 for block in found)

    def allocate(self, row: int, tokens: int) -> None:
        """Compute up to so many tokens, on what is found if it is not running yet."""
        request, manager = self._requests[row], self._manager
        if row in self._running:
            self._grown(row, tokens)
            more = tokens - request.num_computed_tokens
            assert not more or manager.allocate_slots(request, more) is not None
        else:
            blocks, found, _ = manager.get_computed_blocks(request)
            more = tokens - found
            assert manager.allocate_slots(request, more, found, blocks) is not None
        self._running.add(row)
        request.num_computed_tokens = tokens

    def release(self, row: int, tokens: int) -> None:
        """Let go of everything."""
        self._manager.free(self._requests[row])
        self._requests[row].num_computed_tokens = 0
        self._running.remove(row)

    def _grown(self, row: int, tokens: int) -> Request:
        """The request, with tokens generated until it has so many."""
        request = self._requests[row]
        new = self._tokens.of(row)[request.num_tokens : tokens]
        if new:
            request.append_output_token_ids(new)
        return request


def main(jobs: Path, out: Path) -> None:
    """Do every line of ``jobs``."""
    with jobs.open(encoding="utf-8") as lines, out.open("w", encoding="utf-8") as log:
        for line in lines:
            message = json.loads(line)
            pool = Pool(from_json(message))
            shown = [pool.do(*operation) for operation in message["operations"]]
            log.write(json.dumps(shown) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
