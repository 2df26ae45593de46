"""Shortest remaining processing time, preemptive, as predicted (Schrage 1968).

What remains is counted in prompt tokens: the rest of the prompt plus a price for each
token still to be emitted, as a predictor says.
"""

import numpy as np


class ShortestRemaining:
    decode_price = 4.0  # prompt tokens that one output token is worth
    reluctance = 3.0  # preempt only what has this many times the newcomer's rest left

    def schedule(self, waiting, running, engine):
        """Decode all; give prompts the rest of the step in order of what remains."""
        known = running.prompt_tokens + running.generated_tokens
        left = np.concatenate([
            known - running.computed_tokens,
            waiting.prompt_tokens + waiting.generated_tokens,
        ])
        n = len(running)
        rest = left + self.decode_price * np.concatenate([
            np.maximum(requests.predicted_tokens - requests.generated_tokens, 1)
            for requests in (running, waiting)
        ])
        order = np.lexsort((rest, left > 1))
        before = np.cumsum(left[order]) - left[order]
        grants = np.empty(len(left))
        grants[order] = np.clip(engine.max_step_tokens - before, 0, left[order])
        if n and len(waiting):
            shortest, longest = np.argmin(rest[n:]), np.argmax(rest[:n])
            full = n >= engine.max_running
            full |= waiting.blocks_needed[shortest] > engine.free_blocks
            if full and rest[longest] > self.reluctance * rest[n + shortest]:
                grants[longest] = -1
        return grants[n:], grants[:n]
