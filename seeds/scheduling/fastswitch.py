"""Highest priority runs, others wait with their KV in the host (FastSwitch, 2024).

When priorities change, who no longer fits is preempted; a copy of its KV is kept in
host memory, so that the next switch moves only what is new.
"""

import numpy as np


class FastSwitch:
    keeps_copies = True  # flag: else KV moves out and back whole
    reserve_blocks = 8  # left free for running requests to grow into

    def schedule(self, waiting, running, engine):
        """The highest levels that fit together run; ties favour who runs already."""
        known = running.prompt_tokens + running.generated_tokens
        grants = known - running.computed_tokens
        tokens = waiting.prompt_tokens + waiting.generated_tokens
        need = np.append(-(-(known + 1) // engine.block_tokens), waiting.blocks_needed)
        level = engine.tenants.priority[np.append(running.tenant, waiting.tenant)]
        arrived = np.append(running.arrived_s, waiting.arrived_s)
        waits = np.arange(len(need)) >= len(running)
        order = np.lexsort((arrived, waits, -level))
        fits = np.cumsum(need[order]) <= engine.total_blocks - self.reserve_blocks
        fits &= np.arange(len(order)) < engine.max_running
        fits[:1] = True
        chosen = np.zeros(len(order), dtype=bool)
        chosen[order[fits]] = True
        admit = chosen[len(running) :]
        if admit.any():
            lowest = level[len(running) :][admit].min()
            yields = level[: len(running)] < lowest
            mode = -3 if self.keeps_copies else -2
            grants[~chosen[: len(running)] & yields] = mode
        return np.where(admit, tokens, 0), grants
