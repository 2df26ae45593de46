"""Any replica with equal chance (random splitting; Wang and Morris, 1985)."""

import numpy as np


class Random:
    seed = 1985  # number that starts the generator

    def __init__(self):
        self.generator = np.random.default_rng(self.seed)

    def route(self, request, replicas):
        """A replica that serves prompts, drawn at random."""
        usable = np.flatnonzero((replicas.healthy == 1) & (replicas.role != 2))
        return self.generator.choice(usable)
