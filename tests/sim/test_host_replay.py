"""What a tiered cache finds, against a replay with lists, one prompt at a time."""

import numpy as np
import pytest

from evaluators.host_memory import Tier
from tests.sim.test_host_cache import CURVE, chained, checked, drawn_chains, with_host


class Replay:
    """GPU, host and tiers below as lists of contents, the next to go first."""

    def __init__(self, gpu_blocks, host_blocks, below_blocks, writes):
        self.gpu, self.host, self.below = [], [], [[] for _ in below_blocks]
        self.sizes = gpu_blocks, host_blocks, below_blocks
        self.writes = writes
        self.out = self.back = 0

    def serve(self, chain, own):
        """Blocks of the chain found; ``own`` is the content of the last block."""
        hit = self.leading(chain, [self.gpu])
        found = hit + self.leading(chain[hit:], [self.host, *self.below])
        held, loaded = [*chain, own], chain[hit:found]
        self.gpu = [content for content in self.gpu if content not in chain[:hit]]
        self.touch(chain[:found])
        up = [content for content in loaded if content not in self.host]
        for tier in self.below:
            tier[:] = [content for content in tier if content not in up]
        self.make_room(found, loaded)
        for content in up:
            self.add(content, ())
        self.touch(loaded)
        self.make_room(len(held), ())
        self.back += len(loaded)
        for content in held if self.writes == "through" else ():
            self.put(content, ())
        self.touch(held)
        self.gpu += reversed(held)
        return found

    def leading(self, chain, memories):
        found = [any(content in memory for memory in memories) for content in chain]
        return [*found, False].index(False)

    def touch(self, contents):
        there = [content for content in reversed(contents) if content in self.host]
        self.host = [content for content in self.host if content not in there] + there

    def make_room(self, blocks, pinned):
        while len(self.gpu) + blocks > self.sizes[0]:
            content = self.gpu.pop(0)
            if self.writes == "back":
                self.put(content, pinned)

    def put(self, content, pinned):
        if content in self.host:
            self.host.remove(content)
            self.host.append(content)
        elif self.add(content, pinned):
            self.out += 1

    def add(self, content, pinned):
        while len(self.host) >= self.sizes[1]:
            if not self.host or self.host[0] in pinned:
                return False
            self.fall(0, self.host.pop(0))
        for tier in self.below:
            if content in tier:
                tier.remove(content)
        self.host.append(content)
        return True

    def fall(self, at, content):
        if at == len(self.below):
            return
        if len(self.below[at]) == self.sizes[2][at]:
            self.fall(at + 1, self.below[at].pop(0))
        self.below[at].append(content)


@pytest.mark.parametrize("writes", ["back", "through"])
def test_found_and_moved_blocks_are_those_of_a_plain_replay(writes):
    ups = 0
    for seed in range(25):
        rng = np.random.default_rng((seed, 31))
        chains = drawn_chains(seed)
        gpu, host = int(rng.integers(9, 16)), int(rng.integers(1, 25))
        below = [int(size) for size in rng.integers(1, 12, int(rng.integers(0, 3)))]
        replay = Replay(gpu, host, below, writes)
        found = [replay.serve(chain, -1 - row) for row, chain in enumerate(chains)]
        tiers = tuple(Tier(f"tier {i}", n, CURVE) for i, n in enumerate(below))
        scenario = with_host(
            chained(chains, kv_blocks=gpu), host, below=tiers, writes=writes
        )
        run = checked(scenario)
        assert run.hit_tokens.tolist() == found
        assert (run.copies.out_bytes, run.copies.back_bytes) == (
            replay.out,
            replay.back,
        )
        ups += sum(up for _, up in run.copies.tiers.values())
    assert ups
