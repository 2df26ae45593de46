"""Where the first token comes soonest, cache counted (Mooncake, FAST 2025)."""

import numpy as np


class EarliestFirstToken:
    crowding = 1.2  # delay from one queued token, against one of our own

    def route(self, request, replicas):
        """Index of the replica with the least estimated time to first token."""
        queued = replicas.queued_tokens + replicas.sent_tokens
        own = request.prompt_tokens - replicas.cached_tokens
        wait_s = (self.crowding * queued + own) / replicas.tokens_per_s
        usable = (replicas.healthy == 1) & (replicas.role != 2)
        return np.argmin(np.where(usable, wait_s, np.inf))
