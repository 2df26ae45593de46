"""A batch decodes to its end before any other prompt (FasterTransformer, NVIDIA 2021).

No decode ever waits for a prompt of a later batch, and the engine runs half empty while
the longest answers end; Sarathi-Serve (OSDI 2024) calls it decode-prioritizing.
"""

import numpy as np


class DecodeFirst:
    reserve = 1.0  # share of the predicted answer reserved for each of a batch

    def __init__(self):
        self.batch = []

    def schedule(self, waiting, running, engine):
        """Those of the batch; once all have left, the first that fit are the next."""
        known = running.prompt_tokens + running.generated_tokens
        tokens = waiting.prompt_tokens + waiting.generated_tokens
        if not len(running):
            answer = self.reserve * waiting.predicted_tokens
            answer = np.maximum(answer - waiting.generated_tokens, 0)
            blocks = np.ceil((tokens + answer) / engine.block_tokens)
            fits = np.cumsum(blocks) <= engine.total_blocks
            fits &= np.arange(len(waiting)) < engine.max_running
            fits[:1] = True
            self.batch = waiting.id[fits]
        admit = np.where(np.isin(waiting.id, self.batch), tokens, 0)
        return admit, known - running.computed_tokens
