"""Shortest remaining processing time, preemptive, as predicted (Schrage 1968).

What remains is counted in prompt tokens: the rest of the prompt plus a price for each
token still to be emitted, as a predictor says.
"""

import numpy as np


class ShortestRemaining:
    decode_price = 4.0  # prompt tokens that one output token is worth
    reluctance = 3.0  # preempt only what has this many times the newcomer's rest left

    def schedule(self, waiting, running, engine):
        """Go on with what runs, then admit by what remains; the longest may yield."""
        known = running.prompt_tokens + running.generated_tokens
        grants = known - running.computed_tokens
        tokens = waiting.prompt_tokens + waiting.generated_tokens
        rest, queued_rest = self.rest(grants, running), self.rest(tokens, waiting)
        queue = np.argsort(queued_rest, kind="stable")
        blocks, slots = engine.free_blocks, engine.max_running - len(running)
        if len(queue) and len(running):
            first, longest = queue[0], np.argmax(rest)
            full = not slots or waiting.blocks_needed[first] > blocks
            if full and rest[longest] > self.reluctance * queued_rest[first]:
                blocks, slots = blocks + running.blocks_held[longest], slots + 1
                grants[longest] = -1
        budget = engine.max_step_tokens - np.maximum(grants, 0).sum()
        before = np.cumsum(tokens[queue]) - tokens[queue]
        fits = np.cumsum(waiting.blocks_needed[queue]) <= blocks
        fits &= np.arange(len(queue)) < slots
        fits &= before < budget
        admitted = np.zeros(len(queue))
        admitted[queue[fits]] = tokens[queue[fits]]
        return admitted, grants

    def rest(self, left, requests):
        """Tokens to compute, and the predicted rest of the answer at its price."""
        answer = np.maximum(requests.predicted_tokens - requests.generated_tokens, 1)
        return left + self.decode_price * answer
