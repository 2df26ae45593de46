"""Better of two replicas drawn at random (power of two; Mitzenmacher, 2001)."""

import numpy as np


class PowerOfTwo:
    seed = 2001  # number that starts the generator

    def __init__(self):
        self.generator = np.random.default_rng(self.seed)

    def route(self, request, replicas):
        """Of two drawn replicas, the one that reported less to do."""
        usable = np.flatnonzero((replicas.healthy == 1) & (replicas.role != 2))
        drawn = self.generator.permutation(usable)[:2]
        load = replicas.running + replicas.waiting + replicas.sent
        return drawn[np.argmin(load[drawn])]
