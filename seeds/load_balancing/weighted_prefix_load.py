"""Weighted sum of prefix match, queue and memory (llm-d scorers, 2025)."""

import numpy as np


class WeightedPrefixLoad:
    prefix = 2.0  # weight of the share of the prompt that is cached
    queue = 1.0  # weight of having the shortest queue
    memory = 1.0  # weight of the share of KV memory that is free

    def route(self, request, replicas):
        """The replica of the highest score."""
        waiting = replicas.waiting + replicas.sent
        low, high = waiting.min(), waiting.max()
        short = (high - waiting) / (high - low) if high > low else np.ones(len(waiting))
        score = (
            self.prefix * replicas.cached_tokens / request.prompt_tokens
            + self.queue * short
            + self.memory * replicas.free_blocks / replicas.total_blocks
        )
        usable = (replicas.healthy == 1) & (replicas.role != 2)
        return np.argmax(np.where(usable, score, -np.inf))
