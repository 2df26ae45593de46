"""Admit only what leaves running answers room to grow (Head-Room, Glia 2025)."""

import numpy as np


class HeadRoom:
    holds_back = True  # rank a single request, too
    growth = 0.5  # share of a predicted answer still to come, of a request that runs
    memory = 0.9  # weight of the past in the running mean of predicted answers

    def __init__(self):
        self.answer_tokens = 0.0

    def admit_key(self, waiting, engine):
        """First come, first served while free blocks cover the predicted growth."""
        mean = waiting.predicted_tokens.mean()
        past = self.memory if self.answer_tokens else 0.0
        self.answer_tokens = past * self.answer_tokens + (1 - past) * mean
        growth = engine.n_running * self.growth * self.answer_tokens
        room = engine.free_blocks - growth / engine.block_tokens
        left = np.maximum(waiting.predicted_tokens - waiting.generated_tokens, 0)
        need = waiting.blocks_needed + left / engine.block_tokens
        return np.where(np.cumsum(need) <= room, waiting.arrived_s, np.inf)
