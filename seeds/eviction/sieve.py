"""SIEVE: a hand passes over used blocks once (Zhang et al., NSDI 2024)."""

import numpy as np


class Sieve:
    rescore = "always"  # values change while blocks rest

    def __init__(self):
        self.born, self.visited = {}, set()
        self.births, self.hand = 0, 0

    def on_evict(self, evicted):
        """The hand moves past what went; all it passed has to be used again."""
        for block in evicted.id.tolist():
            self.hand = self.born.pop(block, self.hand)
            self.visited.discard(block)

    def on_access(self, accessed):
        """Blocks keep their place; a use is only noted."""
        for block, hit in zip(accessed.id.tolist(), accessed.hit.tolist(), strict=True):
            if hit and block in self.born:
                self.visited.add(block)
            elif block not in self.born:
                self.births += 1
                self.born[block] = self.births

    def keep_value(self, blocks, now_s):
        """Unused blocks go in the order in which the hand meets them."""
        ids = blocks.id.tolist()
        place = np.array([self.born.get(b, 0) for b in ids])
        is_used = np.array([b in self.visited for b in ids])
        met = np.where(place > self.hand, place, place + self.births)
        first = met[~is_used].min(initial=2 * self.births + 1)
        self.visited.difference_update(np.array(ids)[is_used & (met < first)].tolist())
        return met + 2 * self.births * is_used
