"""The schedulers that are ranked, by name: a text each, seeds as they are."""

from tests.differential.policies import SEEDS

LONGEST = """
class LongestPrompt:
    def admit_key(self, waiting, engine):
        return -waiting.prompt_tokens
"""
LAST = """
class LastCome:
    def admit_key(self, waiting, engine):
        return -waiting.arrived_s
"""
PREDICTED = """
class ShortestWork:
    def admit_key(self, waiting, engine):
        return waiting.prompt_tokens + 4.0 * waiting.predicted_tokens
"""
SMALL_CHUNKS = """
class SmallChunks:
    def token_budget(self, engine):
        return 48

    def admit_key(self, waiting, engine):
        return waiting.arrived_s
"""
VARIED = """
import numpy as np


class Varied:
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def admit_key(self, waiting, engine):
        return self.rng.random(len(waiting))

    def token_budget(self, engine):
        return int(20 * 20 ** self.rng.random())
"""
"""Serves in no order and in steps of all sizes; nobody's idea of a scheduler."""

RANKED = {
    name: (SEEDS / f"{name}.py").read_text(encoding="utf-8")
    for name in ("fcfs", "shortest_prompt", "aged_shortest_prompt", "earliest_deadline")
} | {
    "shortest_work": PREDICTED,
    "small_chunks": SMALL_CHUNKS,
    "last_come": LAST,
    "longest_prompt": LONGEST,
}
