"""A closed loop: a fixed number of users, each sending when its last answer ended."""

from typing import NamedTuple

import numpy as np

from evaluators.rng import stream
from evaluators.serving_runs.measured import trace_of
from evaluators.workloads.prefixes import Ints, Sessions
from evaluators.workloads.relations import earliest_ps, followers
from evaluators.workloads.trace import PS_PER_S, Trace


class Loop(NamedTuple):
    """How a load generator keeps ``users`` requests in flight, ``rounds`` a user.

    Lengths are uniform from ``least`` times the named ones up to these (1: all equal).
    Users start evenly at random within ``starts_s``: requests of equal length would
    else stay in step for ever, as no real engine's do.
    """

    users: int
    rounds: int
    prompt_tokens: int
    output_tokens: int
    least: float
    starts_s: float


def looped(loop: Loop, name: str, seed: int = 0) -> Trace:
    """The trace of a loop; equal arguments give equal traces.

    Request i of a user follows its request i - 1 at once. The user that sends next is
    not the one that has waited longest, as with a shared queue; lengths are alike, so
    this only moves which request goes where.
    """
    draws = stream(seed, "closed-loop", name)
    n = loop.users * loop.rounds
    prompts = _lengths(draws, loop.prompt_tokens, loop.least, n)
    outputs = _lengths(draws, loop.output_tokens, loop.least, n)
    starts = np.sort(draws.random(loop.users)) * loop.starts_s
    rows = np.arange(n)
    after = np.where(rows < loop.users, -1, rows - loop.users)
    sessions = Sessions(after, np.zeros(n, np.int64), np.zeros(n, np.int64))
    starts_ps = np.rint(np.tile(starts, loop.rounds) * PS_PER_S).astype(np.int64)
    arrived = earliest_ps(sessions, starts_ps)
    order = np.argsort(arrived, kind="stable")
    return trace_of(
        arrived[order] / PS_PER_S,
        prompts[order],
        outputs[order],
        sessions=followers(sessions, order),
    )


def _lengths(draws: np.random.Generator, most: int, least: float, n: int) -> Ints:
    low = max(1, int(most * least))
    return draws.integers(low, max(most, low) + 1, n)
