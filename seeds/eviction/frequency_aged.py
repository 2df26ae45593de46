"""Uses over age, counted through evictions (Lee et al., IEEE Computers 2001: LRFU)."""

import numpy as np


class FrequencyAged:
    rescore = "always"  # values change while blocks rest
    young_s = 100.0  # up to this age, blocks are all about equally fresh

    def __init__(self):
        self.uses = {}

    def on_access(self, accessed):
        """Count every use, also of blocks that were evicted in between."""
        for block in accessed.id.tolist():
            self.uses[block] = self.uses.get(block, 0) + 1

    def keep_value(self, blocks, now_s):
        """Worth by uses over the age of the last one."""
        uses = np.array([self.uses.get(b, 1) for b in blocks.id.tolist()])
        return uses / (now_s - blocks.last_used_s + self.young_s)
