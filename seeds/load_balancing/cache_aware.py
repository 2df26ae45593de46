"""Best prefix match while loads are even, else the least loaded (SGLang, 2024)."""

import numpy as np


class CacheAware:
    match = 0.3  # share of the prompt that must be cached to count
    apart = 32.0  # requests by which loads may differ before balance comes first
    times = 1.5  # and the ratio by which they must differ, too

    def route(self, request, replicas):
        """The best match; fewest requests if loads are uneven or none matches."""
        usable = (replicas.healthy == 1) & (replicas.role != 2)
        load = np.where(usable, replicas.outstanding, np.inf)
        least, most = load[usable].min(), load[usable].max()
        uneven = most - least > self.apart and most > self.times * least
        cached = np.where(usable, replicas.cached_tokens, 0)
        if uneven or cached.max() <= self.match * request.prompt_tokens:
            free = np.where(usable, replicas.free_blocks, -np.inf)
            return np.lexsort((-free, load))[0]
        return np.argmax(cached)
