"""LRU-K: the oldest of the last two uses counts (O'Neil et al., SIGMOD 1993)."""

import numpy as np

REMEMBERED = 200_000  # blocks whose history is kept, in memory or not


class LeastRecentlyUsedTwice:
    def __init__(self):
        self.uses_s = {}  # last use and the one before, by id

    def on_access(self, accessed):
        """Note the use; a block that was evicted keeps its history."""
        uses_s = zip(accessed.id.tolist(), accessed.at_s.tolist(), strict=True)
        for block, at_s in uses_s:
            last_s = self.uses_s.pop(block, (-np.inf,))[0]
            self.uses_s[block] = (at_s, last_s)
        for _ in range(len(self.uses_s) - REMEMBERED):
            del self.uses_s[next(iter(self.uses_s))]

    def keep_value(self, blocks, now_s):
        """Worth by the second last use; of blocks used once by that use, below all."""
        never = (-np.inf, -np.inf)
        second = [self.uses_s.get(b, never)[1] for b in blocks.id.tolist()]
        once = np.isneginf(second)
        return np.where(once, blocks.last_used_s - 1e9, second)
