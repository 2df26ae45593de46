"""Fewest unanswered requests (join the shortest queue; Winston, 1977)."""

import numpy as np


class LeastOutstanding:
    def route(self, request, replicas):
        """The first of those with the fewest requests sent and not answered."""
        usable = (replicas.healthy == 1) & (replicas.role != 2)
        return np.argmin(np.where(usable, replicas.outstanding, np.inf))
