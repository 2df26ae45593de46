"""Whole prompts before any decode, first come, first served (vLLM v0, SOSP 2023).

While a waiting prompt fits, a step computes nothing but whole prompts, so the first
token comes soon and everybody else's next token stalls.
"""

import numpy as np


class PrefillFirst:
    watermark = 0.01  # share of KV blocks kept free at admission

    def schedule(self, waiting, running, engine):
        """Whole prompts up to a step's tokens, at least one; else decode all."""
        known = running.prompt_tokens + running.generated_tokens
        left = known - running.computed_tokens
        if (left > 1).any():  # a prompt longer than a step goes on
            return np.zeros(len(waiting)), np.where(left > 1, left, 0)
        tokens = waiting.prompt_tokens + waiting.generated_tokens
        step_tokens = max(engine.max_step_tokens, tokens[:1].sum())
        room = engine.free_blocks - self.watermark * engine.total_blocks
        fits = np.cumsum(tokens) <= step_tokens
        fits &= np.cumsum(waiting.blocks_needed) <= room
        fits &= engine.n_running + np.arange(len(waiting)) < engine.max_running
        if not len(running):
            fits[:1] = True
        decodes = np.full(len(running), 0 if fits.any() else 1)
        return np.where(fits, tokens, 0), decodes
