"""Longest cached prefix below a load cap (bounded loads; Mirrokni et al., 2018)."""

import numpy as np


class PrefixAffinityCapped:
    window_s = 30.0  # seconds over which a replica's load is counted
    excess = 1.25  # load that a replica may have, as a multiple of the mean
    slack_tokens = 20_000.0  # and tokens beyond that

    def __init__(self):
        self.sent = []

    def route(self, request, replicas):
        """Longest match of those below the cap; the least loaded of equals."""
        n = len(replicas)
        usable = (replicas.healthy == 1) & (replicas.role != 2)
        since_s = request.now_s - self.window_s
        self.sent = [each for each in self.sent if each[0] >= since_s]
        load = np.zeros(n)
        for _, index, tokens in self.sent:
            load[index] += tokens
        below = usable & (load <= self.excess * load[usable].mean() + self.slack_tokens)
        match = np.where(below, replicas.cached_tokens, 0)
        best = int(np.lexsort((np.where(usable, load, np.inf), -match))[0])
        missed = request.prompt_tokens - replicas.cached_tokens[best]
        self.sent.append((request.now_s, best, missed))
        return best
