"""Whatever bytes a policy's process sends: plain arrays or a typed failure, no more."""

import math
import os
import random
import resource
import socket
import struct
import time

import numpy as np
import pytest

from adrs.conversation import Conversation
from adrs.decisions import Decisions, Entry, seal, unseal
from adrs.remote import RemotePolicy
from adrs.zygote import Process
from evaluators import frames
from evaluators.confine import Limits
from evaluators.evaluation import PolicyError
from evaluators.frames import Channel, ClosedError, FrameError
from evaluators.manners import told
from evaluators.problems import load
from evaluators.sim.cluster.routing import checked_pairs, checked_route
from evaluators.sim.hooks import (
    checked_count,
    checked_keys,
    checked_modes,
    checked_plan,
)
from evaluators.views_blocks import Blocks

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
NONCE = 0
PROBLEM = load("eviction")
LIMITS = Limits(cpu_s=1e6, wall_s=60, memory_bytes=1 << 28)
WORDS = (
    0,
    1,
    2,
    3,
    8,
    64,
    65,
    65_535,
    65_536,
    1 << 24,
    (1 << 24) + 1,
    1 << 31,
    2**32 - 1,
)
ROOM_BYTES = 128 << 20
"""How much the process may grow; one answer that is believed would be 16 GiB."""

HEADER = struct.Struct("<QII")
WHOLE = (np.arange(3), np.array([0, 2, 1]), np.array(5), np.array([[0, 1], [1, 0]]))
REAL = (np.array([0.5, np.inf, -1.0]), np.array(np.nan), np.zeros((0, 7)), np.ones(0))
START = (np.array([1, 1, 1]), told(object(), PROBLEM.manners))


def message(kind, payload):
    return HEADER.pack(NONCE, kind, len(payload)) + payload


def corpus():
    """Frames that an honest child would send, and a few too large for a packet."""
    answers = [(array,) for array in (*WHOLE, *REAL)]
    answers += [(), START, WHOLE, (*WHOLE, *REAL) * 8, (np.arange(20_000),)]
    made = [message(frames.ANSWER, frames.pack(answer)) for answer in answers]
    made += [message(frames.ERROR, bytes([code]) + b"why") for code in range(13)]
    return [*made, message(frames.ERROR, b""), message(7, b"x"), b""]


def mutated(message, draws):
    """A frame with words and bytes changed, cut, repeated, or of noise only."""
    changed = bytearray(message)
    for _ in range(draws.choice((0, 1, 1, 2, 6))):
        at = draws.randrange(len(changed) + 1) if draws.random() < 0.3 else 0
        at = at or 4 * draws.randrange(14)
        match draws.randrange(6):
            case 0 | 1:
                changed[at : at + 4] = draws.choice(WORDS).to_bytes(4, "little")
            case 2:
                changed[at : at + 1] = draws.randbytes(1)
            case 3:
                del changed[at:]
            case 4:
                changed[at:at] = changed[: draws.choice((1, 8, 16, 40))]
            case 5:
                changed += draws.randbytes(draws.choice((1, 8, 300)))
    noise = draws.randbytes(draws.randrange(300))
    return bytes(changed) if draws.random() < 0.95 else noise


def packets(message, draws):
    """The frame in packets, as it should be or cut elsewhere."""
    size = (
        frames.PACKET_BYTES if draws.random() < 0.8 else draws.choice((1, 16, 40, 99))
    )
    if len(message) > 100 * size:
        size = frames.PACKET_BYTES + draws.choice((-1, 0, 1))
    return [message[at : at + size] for at in range(0, len(message), size)]


def connected(sent):
    """Our end of a connection on which ``sent`` has arrived, and no more will."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    try:
        for packet in sent:
            theirs.send(packet)
    except BlockingIOError:
        pass
    theirs.shutdown(socket.SHUT_WR)
    return ours, theirs


def received(sent, *, is_flat):
    """Arrays of the one frame that came, or the name of what was wrong."""
    ours, theirs = connected(sent)
    with ours, theirs:
        channel = Channel(ours, frames.MAX_ANSWER_BYTES)
        try:
            got = channel.receive_answer(NONCE) if is_flat else channel.receive()
            if not isinstance(got, frames.Frame):
                return (got,)
            assert len(got.payload) <= frames.MAX_ANSWER_BYTES
            return frames.unpack(got.payload)
        except (FrameError, ClosedError) as error:
            return type(error).__name__


def outcome(sent):
    """What a conversation makes of the frames that answer a start and a question."""
    ours, theirs = connected(sent)
    with ours, theirs:
        conversation = Conversation(Process(os.getpid(), ours), LIMITS)
        try:
            policy = RemotePolicy(conversation, "", PROBLEM.hooks, PROBLEM.manners)
            assert set(policy.has) <= {hook.name for hook in PROBLEM.hooks}
            keep_value = getattr(policy, "keep_value", None)
            if keep_value is None:
                return "no hook"
            answer = keep_value(
                Blocks(np.zeros((6, 3), np.int64), np.ones((3, 3))), 1.0
            )
        except PolicyError as error:
            return error.failure.kind
        check_plain((answer,))
        check_log(policy)
        return "answer"


def check_plain(arrays):
    """Every reader of answers makes plain numbers in range of them, or refuses."""
    for array in arrays:
        assert array.dtype in (np.int64, np.float64)
        assert not array.flags.writeable
        for read in READERS:
            try:
                read(array)
            except PolicyError as error:
                assert error.failure.kind == "decision"


def keys(array):
    assert not np.isnan(checked_keys(array, 3, "h")).any()


def count(array):
    assert type(checked_count(array, "h")) is int
    assert 0 <= checked_count(array, "h") < 2**31


def modes(array):
    assert set(checked_modes(array, 3)) <= {0, 1, 2}


def route(array):
    assert all(type(i) is int and 0 <= i < 3 for i in checked_route(array, 3).targets)


def pairs(array):
    got = checked_pairs(array, 3, 2)
    assert got.shape == (len(got), 2)
    assert ((got >= 0) & (got < (3, 2))).all()
    assert len(set(got[:, 0].tolist())) == len(got)


def plan(array):
    waiting, running = checked_plan((array, array), 3, 3)
    assert waiting.min() >= 0
    assert running.min() >= -3


READERS = (keys, count, modes, route, pairs, plan)


def check_log(policy):
    """What was answered can be kept, and says the same when it is read again."""
    said = Decisions(policy.has, policy.manners, policy.entries)
    digest, data = seal(said, PROBLEM.hooks)
    again = unseal(data, digest)
    ranked = [Entry(e.hooks, e.answer) for e in again.entries]
    assert [e.answer[0].shape for e in ranked] == [
        e.answer[0].shape for e in policy.entries
    ]


@pytest.fixture(autouse=True)
def the_same_nonce(monkeypatch):
    """Answers are there before they are asked for, so their nonce must be known."""
    monkeypatch.setattr("adrs.conversation.os.urandom", bytes)


def grown_bytes(begun):
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun)


def few_and_many(few, many):
    slow = pytest.param(many, marks=pytest.mark.slow, id="many")
    return pytest.mark.parametrize("n", [few, slow])


@few_and_many(18_000, 700_000)
def test_a_channel_makes_arrays_or_a_frame_error_of_any_packets(n):
    draws, kinds = random.Random(n), corpus()
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen, slowest_s = set(), 0.0
    for number in range(n):
        sent = packets(mutated(draws.choice(kinds), draws), draws)
        began_s = time.monotonic()
        got = received(sent, is_flat=number % 2 == 0)
        slowest_s = max(slowest_s, time.monotonic() - began_s)
        if isinstance(got, str):
            seen.add(got)
            continue
        seen.add("arrays")
        assert sum(array.nbytes for array in got) <= sum(map(len, sent))
        if number % 10 == 0:
            check_plain(got)
    assert seen == {"arrays", "FrameError", "ClosedError"}
    assert slowest_s < 5, "an answer was waited for that nobody will send"
    assert grown_bytes(begun) < ROOM_BYTES


@few_and_many(2_000, 300_000)
def test_a_conversation_ends_in_an_answer_or_a_typed_failure(n):
    draws, kinds = random.Random(n), corpus()
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = message(frames.ANSWER, frames.pack(START))
    seen = set()
    for _ in range(n):
        first = start if draws.random() < 0.8 else mutated(start, draws)
        second = packets(mutated(draws.choice(kinds), draws), draws)
        seen.add(outcome([first, *second]))
    assert {"answer", "protocol", "crash", "exception"} <= seen
    own = {"source", "interface", "exception", "decision", "memory_limit"}
    assert seen <= {"answer", "no hook", "protocol", "crash", *own}
    assert grown_bytes(begun) < ROOM_BYTES


def test_the_corpus_itself_is_what_it_is_meant_to_be():
    draws = random.Random(0)
    sizes = [len(message) for message in corpus()]
    assert max(sizes) > frames.PACKET_BYTES
    start = message(frames.ANSWER, frames.pack(START))
    answer = message(frames.ANSWER, frames.pack((REAL[0],)))
    assert outcome([start, answer]) == "answer"
    assert outcome([start, message(frames.ERROR, b"\x02why")]) == "exception"
    late = (NONCE + 1).to_bytes(8, "little") + answer[8:]
    assert outcome([start, late]) == "protocol"
    assert math.isclose(received([answer], is_flat=True)[0][0], 0.5)
    assert mutated(answer, draws) != answer or mutated(answer, draws) != answer
