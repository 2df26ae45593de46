"""Sessions stay where their KV is, unless crowded (AttentionStore, ATC 2024)."""

import numpy as np


class StickySession:
    patience = 32.0  # requests that its replica may have more than the least loaded

    def __init__(self):
        self.home = {}

    def route(self, request, replicas):
        """The session's replica unless it is down or crowded, else the least loaded."""
        usable = (replicas.healthy == 1) & (replicas.role != 2)
        load = np.where(usable, replicas.outstanding, np.inf)
        best = int(np.argmin(load))
        if request.session < 0:
            return best
        home = self.home.get(request.session, best)
        if load[home] > load[best] + self.patience:
            home = best
        self.home[request.session] = home
        return home
