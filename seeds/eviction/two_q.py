"""2Q: new blocks pass a short queue, known ones have the rest (Johnson, VLDB 1994)."""

import numpy as np


class TwoQueues:
    rescore = "always"  # values change while blocks rest
    short = 0.25  # share of the memory for blocks on probation

    def __init__(self):
        self.new, self.known, self.ghosts = {}, {}, {}

    def on_evict(self, evicted):
        """Remember what left probation, as many as memory holds."""
        for block in evicted.id.tolist():
            if self.new.pop(block, 0) is None:
                self.ghosts[block] = None
            self.known.pop(block, None)
        for _ in range(len(self.ghosts) - len(self.new) - len(self.known)):
            del self.ghosts[next(iter(self.ghosts))]

    def on_access(self, accessed):
        """A block that comes back soon after probation is known from then on."""
        for block in accessed.id.tolist():
            if block in self.ghosts:
                del self.ghosts[block]
                self.known[block] = None
            elif block not in self.known:
                self.new[block] = None

    def keep_value(self, blocks, now_s):
        """New blocks go in order of arrival while they are many, else known ones."""
        many = len(self.new) > self.short * (len(self.new) + len(self.known))
        is_new = np.array([b in self.new for b in blocks.id.tolist()])
        age = np.where(is_new, blocks.inserted_s, blocks.last_used_s) / (1 + now_s)
        return np.where(is_new == many, age - 1, age + 1)
