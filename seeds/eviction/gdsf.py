"""GreedyDual by cost and frequency, aged by what was evicted (Cherkasova, HP 1998)."""

import numpy as np


class GreedyDualSizeFrequency:
    def __init__(self):
        self.clock_s = 0.0
        self.worth_s = {}  # of each block in memory, by its id

    def on_evict(self, evicted):
        """Age everything by the worth of what had to go."""
        for block in evicted.id.tolist():
            self.clock_s = max(self.clock_s, self.worth_s.pop(block, 0.0))

    def keep_value(self, blocks, now_s):
        """Worth by recompute time and use, on top of the clock."""
        worth = self.clock_s + blocks.recompute_s * (1 + blocks.hits)
        self.worth_s.update(zip(blocks.id.tolist(), worth.tolist(), strict=True))
        return np.asarray(worth)
