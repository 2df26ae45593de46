"""The judge's own checks, and how a test takes one away: in its own process alone."""

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from unittest.mock import patch

import numpy as np

from adrs import conversation, sandbox
from adrs.remote import RemotePolicy
from evaluators import frames
from evaluators.confine import LAYERS
from evaluators.evaluation import Evaluation, Failure, PolicyError
from evaluators.problems import eviction, scheduling
from evaluators.sim import hooks, identities
from evaluators.sim.cache import evict
from evaluators.sim.cluster import migration, routing
from evaluators.sim.progress import Progress
from evaluators.starvation import Gate

AGES_S = 1e9
answer, flat_answer, unpack = conversation._answer, frames._flat_answer, frames.unpack
late_fault, begin, rest = (
    sandbox._late_fault,
    conversation.Conversation.__init__,
    frames.Channel._rest,
)


@contextmanager
def without(guards):
    """Takes away those of ``guards`` that are checks of the judge's."""
    checks = [guard for guard in guards if guard not in (*LAYERS, "process", "")]
    with ExitStack() as stack:
        for removal in chain.from_iterable(REMOVALS[check] for check in checks):
            stack.enter_context(removal())
        yield


def _instead(owner, name, other):
    return lambda: patch.object(owner, name, other)


def any_nonce(frame, nonce):
    if isinstance(frame, frames.Frame):
        frame = frame._replace(nonce=nonce)
    return answer(frame, nonce)


def flat_of_any_nonce(packet, nonce):
    return flat_answer(packet, int.from_bytes(packet[:8], "little"))


def rest_of_any_size(channel, first, missing):
    return b"" if missing < 0 else rest(channel, first, missing)


def unpack_what_is_there(payload):
    count = int.from_bytes(payload[:8], "little")
    layout = frames._layout(payload[: frames._SHAPES[count].size], count)
    return unpack(payload[: layout.size])


def kept_whole(error, kind, message):
    error.failure = Failure(kind, message)
    Exception.__init__(error, message)


def late_fault_but_time(ending, limits):
    return late_fault(ending._replace(cpu_s=0.0), limits)


def begin_without_a_clock(made, process, limits):
    begin(made, process, replace(limits, wall_s=AGES_S))


def keys_as_they_are(keys, rows, hook):
    del hook
    return np.resize(np.asarray(keys, dtype=np.float64), (rows,))


def count_as_it_is(value, hook):
    del hook
    return int(np.ravel(value)[0])


def grants_as_they_are(part, rows, least):
    del rows, least
    return np.asarray(part).astype(np.int64)


def route_as_it_is(wanted, replicas):
    del replicas
    return routing.Route(tuple(np.ravel(wanted).astype(int).tolist()), False)


def pairs_as_they_are(wanted, requests, replicas):
    del requests, replicas
    return np.asarray(wanted).astype(np.int64)


def ids_in_order(rows, key):
    del key
    return np.arange(rows)


def no_gate(*given):
    del given
    return Gate(1.0, "", 0.0, 0.0)


def mean_of_what_went_well(evaluation):
    scores = [each.score for each in evaluation.outcomes if each.failure is None]
    return float(np.mean(scores)) if scores else 0.0


REMOVALS = {
    "nonce": (
        _instead(conversation, "_answer", any_nonce),
        _instead(frames, "_flat_answer", flat_of_any_nonce),
    ),
    "frame sizes": (
        _instead(frames.Channel, "_rest", rest_of_any_size),
        _instead(frames, "unpack", unpack_what_is_there),
    ),
    "cap": (_instead(frames, "MAX_ANSWER_BYTES", 1 << 40),),
    "own faults": (
        _instead(conversation, "_OWN_FAULTS", frozenset(conversation.FAILURES)),
    ),
    "stray input": (_instead(RemotePolicy, "finish", lambda self: None),),
    "scrubbing": (_instead(PolicyError, "__init__", kept_whole),),
    "CPU time": (
        _instead(conversation, "_cpu_s", lambda process: 0.0),
        _instead(sandbox, "_late_fault", late_fault_but_time),
    ),
    "time of a question": (
        _instead(
            conversation.Conversation, "_check_question", lambda self, used_s: None
        ),
    ),
    "wall time": (
        _instead(conversation.Conversation, "__init__", begin_without_a_clock),
    ),
    "keys": tuple(
        _instead(module, "checked_keys", keys_as_they_are) for module in (hooks, evict)
    ),
    "counts": (_instead(hooks, "checked_count", count_as_it_is),),
    "grants": (_instead(hooks, "_grants", grants_as_they_are),),
    "routes": (_instead(routing, "checked_route", route_as_it_is),),
    "pairs": (_instead(routing, "checked_pairs", pairs_as_they_are),),
    "opaque ids": (
        _instead(identities, "opaque_ids", ids_in_order),
        # Not those that the scenario has been given already.
        _instead(identities, "_all_known", identities._all_known.__wrapped__),
    ),
    "idle timer": (_instead(migration, "MOST_IDLE", 1 << 60),),
    "progress": (
        _instead(Progress, "spend", lambda self, steps, tokens: None),
        _instead(Progress, "stall", lambda self, times=1: None),
    ),
    "gate": tuple(
        _instead(module, "gate", no_gate) for module in (scheduling, eviction)
    ),
    "every exam": (_instead(Evaluation, "score", property(mean_of_what_went_well)),),
}
"""Patches that take a guard away, by its name; beside them are the layers."""
