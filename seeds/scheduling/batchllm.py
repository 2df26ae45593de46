"""Requests with the same beginning run together, long answers first (BatchLLM, 2024).

The KV of a shared document then lives only while its group runs; groups that decode
much for their prompts go first, so that decodes fill the steps of later prompts.
"""

import numpy as np


class BatchLLM:
    def __init__(self):
        self.rank = {}

    def admit_key(self, waiting, engine):
        """Place of each request's group in an order that, once given, stays."""
        alone = waiting.prefix < 0
        group = np.where(alone, waiting.id, waiting.prefix)
        names, which = np.unique(group, return_inverse=True)
        decode = np.bincount(which, waiting.predicted_tokens)
        ratio = decode / np.bincount(which, waiting.prompt_tokens)
        for name in names[np.argsort(-ratio, kind="stable")].tolist():
            self.rank.setdefault(name, len(self.rank))
        return np.array([self.rank[name] for name in names.tolist()])[which]
