"""What a zygote does once, so that none of its children has to: answer a few questions.

Python adapts its code to what it meets, loads modules and fills caches when first used.
A child that inherits all of this has fewer pages of memory to make its own, which is
most of what it costs to start one. The policy here is ours, and nothing of it remains.
"""

import os
import socket

import numpy as np

from evaluators import frames
from evaluators.child import Child, answer_all, start_of
from evaluators.confine import POLICY_DESCRIPTOR, Step, confine
from evaluators.manners import Manner
from evaluators.mirror import Teller
from evaluators.problem import Hook
from evaluators.views import (
    ENGINE_CONSTANTS,
    ENGINE_SCALARS,
    TENANT_COLUMNS,
    Engine,
    EngineFacts,
    Table,
    Waiting,
)

TIMES = 24
"""Policies; Python has adapted its code after about sixteen calls."""

QUESTIONS = 4
"""To each of them."""

_STEPS = (Step("session", os.getpid, ()),) * 3
_ROWS = 3
_ARGUMENTS = ("waiting", "engine")
_RANK = Hook("rank", _ARGUMENTS, "keys", "a key for each row", "here")
_MANNERS = (
    Manner("speed", "slow", ("slow", "fast"), has_number=True, expected="a speed"),
    Manner("is_shy", default=False),
)
_POLICY = '''"""Shortest first, aged."""

import numpy as np


class Rehearsal:
    rate = 400.0

    def __init__(self):
        self.asked = 0

    def rank(self, waiting, engine):
        self.asked += 1
        return waiting.prompt_tokens - self.rate * (engine.now_s - waiting.arrived_s)
'''


def rehearse() -> None:
    """Be as many policies in this process, as a policy's process is one."""
    for _ in range(TIMES):
        confine(_STEPS, POLICY_DESCRIPTOR)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        channel = frames.Channel(ours, frames.MAX_QUESTION_BYTES)
        for _ in range(TIMES):
            _converse(channel, theirs)


def _converse(channel: frames.Channel, theirs: socket.socket) -> None:
    channel.send(0, frames.START, start_of(_POLICY, (_RANK,), _MANNERS))
    teller, table = Teller(), Table(_ROWS)
    facts = EngineFacts(np.ones(len(ENGINE_CONSTANTS)), np.ones((3, 1)))
    tenants = np.zeros((len(TENANT_COLUMNS), 1), dtype=np.int64)
    table.changed += range(_ROWS)
    for time in range(QUESTIONS):
        table.changed.append(time % _ROWS)
        engine = Engine(facts, [float(time)] * len(ENGINE_SCALARS), tenants)
        waiting = Waiting(table, np.arange(_ROWS))
        told = teller.told(_ARGUMENTS, (waiting, engine))
        channel.send(time + 1, frames.FIRST_HOOK + 1, told)
    others = frames.Channel(theirs, frames.MAX_QUESTION_BYTES)
    answer_all(Child(), others, QUESTIONS + 1)
    for _ in range(QUESTIONS + 1):
        assert channel.receive().kind == frames.ANSWER, "a rehearsal has no errors"
