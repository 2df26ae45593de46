"""The replica with the least KV memory in demand (Llumnix's load metric; OSDI 2024)."""

import numpy as np


class LeastKv:
    def route(self, request, replicas):
        """Least share of memory used and waited for."""
        used = replicas.total_blocks - replicas.free_blocks + replicas.waiting_blocks
        used = used + replicas.sent_tokens / replicas.block_tokens
        usable = (replicas.healthy == 1) & (replicas.role != 2)
        return np.argmin(np.where(usable, used / replicas.total_blocks, np.inf))
