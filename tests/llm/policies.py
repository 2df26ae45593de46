"""Small policies that the tests of the models vary."""

FCFS = '''"""First come, first served."""


class FirstCome:
    def admit_key(self, waiting, engine):
        return waiting.arrived_s
'''
AGED = '''"""Shortest prompt first, aged (Kleinrock 1964)."""


class Aged:
    forgiveness = 400.0  # prompt tokens forgiven per second
    floor_tokens = 16

    def admit_key(self, waiting, engine):
        """Rank by length less age."""
        waited_s = engine.now_s - waiting.arrived_s
        tokens = waiting.prompt_tokens - self.forgiveness * waited_s
        return tokens - min(3.5, self.floor_tokens)
'''
CHUNKED = '''"""Small steps."""


class Chunked:
    chunk = 512  # tokens of a step

    def token_budget(self, engine):
        return self.chunk
'''
STATEFUL = '''"""Remembers who was served, + with a helper."""

import numpy as np

BIAS = 2.0


def scaled(values):
    return BIAS * values


class Stateful:
    forgiveness = 7.0
    weight: float = 1.5

    def __init__(self):
        self.seen = np.zeros(0)

    def admit_key(self, queue, state):
        order = scaled(queue.arrived_s)
        return self.helped(order) + self.forgiveness * len(self.seen)

    def victim_key(self, running, engine):
        if engine.free_blocks > 5:
            return -running.computed_tokens
        return running.blocks_held * self.weight

    def helped(self, order):
        self.seen = np.append(self.seen[-3:], len(order))
        return order
'''
PLANNED = '''"""Everything at once."""

import numpy as np


class Planned:
    tokens = 64

    def schedule(self, waiting, running, engine):
        return np.full(len(waiting), self.tokens), np.ones(len(running))
'''
LEVEL_1 = (FCFS, AGED, CHUNKED, STATEFUL)
