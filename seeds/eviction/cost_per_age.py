"""Recompute time saved per second since the last use (Young, SODA 1991: GreedyDual)."""

import numpy as np


class CostPerAge:
    rescore = "always"  # values change while blocks rest
    grace_s = 2.0  # younger blocks are all about equally fresh

    def keep_value(self, blocks, now_s):
        """Worth by recompute time and finds over age."""
        saved_s = blocks.recompute_s * (1 + np.log1p(blocks.hits))
        return saved_s / (now_s - blocks.last_used_s + self.grace_s)
