"""Least predicted time to serve all that is there (predictive; Block, 2025)."""

import numpy as np


class LeastWork:
    answer_cost = 8.0  # prompt tokens that one more decoding request is worth

    def route(self, request, replicas):
        """The replica with the least queued and decoding work for its speed."""
        decoding = replicas.decoding + replicas.waiting + replicas.sent
        queued = replicas.queued_tokens + replicas.sent_tokens
        missed = request.prompt_tokens - replicas.cached_tokens
        work = queued + missed + self.answer_cost * decoding
        usable = (replicas.healthy == 1) & (replicas.role != 2)
        return np.argmin(np.where(usable, work / replicas.tokens_per_s, np.inf))
