"""Iteration-level batching of whole prompts with decodes (Orca, OSDI 2022).

Admission reserves the memory of the whole answer, here as predicted, so that nothing
admitted has to be preempted; a prompt is computed in one piece beside the decodes.
"""

import numpy as np


class Orca:
    reserve = 1.0  # share of the predicted answer reserved at admission

    def schedule(self, waiting, running, engine):
        """First come, first served while whole prompts and their answers fit."""
        known = running.prompt_tokens + running.generated_tokens
        left = known - running.computed_tokens
        tokens = waiting.prompt_tokens + waiting.generated_tokens
        room = engine.max_step_tokens - left.sum()
        if not (left > 1).any():
            room = max(room, tokens[:1].sum())
        reserved = self.blocks(running, engine).sum()
        fits = np.cumsum(tokens) <= room
        fits &= (
            reserved + np.cumsum(self.blocks(waiting, engine)) <= engine.total_blocks
        )
        fits &= engine.n_running + np.arange(len(waiting)) < engine.max_running
        if not len(running):
            fits[:1] = True
        return np.where(fits, tokens, 0), left

    def blocks(self, requests, engine):
        """KV blocks of each prompt with its whole answer."""
        answer = self.reserve * requests.predicted_tokens
        answer = np.maximum(answer, requests.generated_tokens)
        return np.ceil((requests.prompt_tokens + answer) / engine.block_tokens)
