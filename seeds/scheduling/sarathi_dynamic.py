"""Chunks that shrink along a prompt, as its attention grows (Sarathi-Serve, OSDI 2024).

A chunk far into a prompt reads all the KV before it; with the chunk sizes spread evenly
from high to low over the stages of a prompt, steps take about equally long.
"""

import numpy as np


class SarathiDynamic:
    ask = 0.1  # seconds between looks at how far each prompt is: about a full step
    high = 2048.0  # tokens of a step with a prompt's first chunk, decodes included
    low = 512.0  # the same with its last chunk
    stages = 8  # sizes, in multiples of 32 tokens
    stage_tokens = 1024  # prompt tokens that each size is used for

    def schedule(self, waiting, running, engine):
        """All decodes, then begun prompts, then waiting ones, each up to its size."""
        known = running.prompt_tokens + running.generated_tokens
        left = known - running.computed_tokens
        step_tokens = np.sum(left == 1)
        for i in np.flatnonzero(left > 1):
            left[i] = min(
                left[i], self.size_left(running.computed_tokens[i], step_tokens)
            )
            step_tokens += left[i]
        tokens = waiting.prompt_tokens + waiting.generated_tokens
        begun = np.ceil(known / engine.block_tokens) - running.blocks_held
        room = engine.free_blocks - np.maximum(begun, 0).sum()
        fits = np.cumsum(waiting.blocks_needed) <= room
        fits &= engine.n_running + np.arange(len(waiting)) < engine.max_running
        admit = np.where(fits, tokens, 0)
        for i in range(len(waiting)):
            admit[i] = min(admit[i], self.size_left(0, step_tokens))
            step_tokens += admit[i]
        return admit, left

    def size_left(self, computed, step_tokens):
        """Prompt tokens that fit into the step of a prompt that is so far."""
        sizes = np.linspace(self.high, self.low, self.stages) / 32
        stage = min(int(computed) // self.stage_tokens, self.stages - 1)
        return max(0, int(np.round(sizes[stage]) * 32 - step_tokens))
