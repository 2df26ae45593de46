"""S3-FIFO: a small queue sorts out blocks used once (Yang et al., SOSP 2023)."""

import numpy as np


class SmallQueueFirst:
    rescore = "always"  # values change while blocks rest
    small = 0.1  # share of the memory for blocks on probation

    def __init__(self):
        self.uses, self.born, self.main, self.ghosts = {}, {}, set(), {}
        self.births = 0

    def on_evict(self, evicted):
        """A block leaves; those used before it in its queue go round once more."""
        for block in evicted.id.tolist():
            if block not in self.main:
                self.ghosts[block] = None
            self.main.discard(block)
            self.uses.pop(block, None), self.born.pop(block, None)
        for _ in range(len(self.ghosts) - len(self.born)):
            del self.ghosts[next(iter(self.ghosts))]

    def on_access(self, accessed):
        """Count up to three uses; what comes back from the ghosts is in main."""
        for block, hit in zip(accessed.id.tolist(), accessed.hit.tolist(), strict=True):
            self.births += 1
            if block in self.uses:
                self.uses[block] = min(3, self.uses[block] + hit)
                continue
            self.uses[block], self.born[block] = hit, self.births
            if self.ghosts.pop(block, 0) is None:
                self.main.add(block)

    def keep_value(self, blocks, now_s):
        """Blocks on probation and not found go first while they are many."""
        ids = blocks.id.tolist()
        self.main.update(b for b in ids if self.uses.get(b, 0) > 1)
        many = len(self.born) - len(self.main) > self.small * len(self.born)
        is_small = np.array([b not in self.main for b in ids])
        laps = np.array([self.uses.get(b, 0) for b in ids], dtype=float)
        place = np.array([self.born.get(b, 0) for b in ids]) / (1 + self.births)
        return np.where(is_small, (-9 if many else 9) + place, laps + place)
