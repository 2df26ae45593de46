"""Probe replicas until one is idle, fewest connections first (P/D-Serve, 2024)."""

import numpy as np


class ProbeUntilIdle:
    rounds = 4  # times that every replica is probed before the request queues

    def route(self, request, replicas):
        """All replicas that serve prompts, by their unanswered requests, repeated."""
        usable = np.flatnonzero((replicas.healthy == 1) & (replicas.role != 2))
        order = usable[np.argsort(replicas.outstanding[usable], kind="stable")]
        return np.tile(order, max(1, min(self.rounds, 64 // len(order))))
