"""ARC: adapts how much is kept for blocks used once (Megiddo and Modha, FAST 2003)."""

import numpy as np


class AdaptiveReplacement:
    rescore = "always"  # values change while blocks rest

    def __init__(self):
        self.kept = ({}, {})  # blocks used once, blocks used more often
        self.ghosts = ({}, {})  # evicted from there
        self.target = 0.0  # blocks used once that are worth keeping

    def on_evict(self, evicted):
        """Remember what was evicted, as many as memory holds."""
        for block in evicted.id.tolist():
            often = block in self.kept[1]
            self.kept[often].pop(block, None)
            self.ghosts[often][block] = None
        for kept, ghosts in zip(self.kept[::-1], self.ghosts, strict=True):
            while len(ghosts) > max(len(kept), 1):
                del ghosts[next(iter(ghosts))]

    def on_access(self, accessed):
        """What returns from a ghost list makes room on the side it was evicted from."""
        once, often = self.ghosts
        for block, hit in zip(accessed.id.tolist(), accessed.hit.tolist(), strict=True):
            if block in once:
                self.target += max(1.0, len(often) / len(once))
            elif block in often:
                self.target -= max(1.0, len(once) / len(often))
            elif not hit and block not in self.kept[1]:
                self.kept[0][block] = None
                continue
            once.pop(block, None), often.pop(block, None), self.kept[0].pop(block, None)
            self.kept[1][block] = None
        self.target = min(max(self.target, 0.0), sum(map(len, self.kept)))

    def keep_value(self, blocks, now_s):
        """The longest unused go, of those used once while they exceed the target."""
        place = np.arange(len(blocks))
        is_once = np.array([b in self.kept[0] for b in blocks.id.tolist()])
        surplus = len(self.kept[0]) - self.target
        goes = is_once & (np.cumsum(is_once) <= surplus)
        return place + len(place) * np.where(goes, -1, is_once)
