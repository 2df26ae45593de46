"""Serves a whole scenario: brings each arrival to a replica, and replicas up to it."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from evaluators.sim.compiled.jit import compiled, stored
from evaluators.sim.compiled.skip import skip_steps
from evaluators.sim.compiled.state import MOST_PS, State
from evaluators.sim.compiled.step import submit, take_step
from evaluators.sim.progress import BARREN_STEPS

DONE, FULL, BARREN, ENDLESS, TOO_LATE = range(5)
"""Why the core returns: nothing is left; its log is full, so that it has to be called
again; no token came for long; more steps than a scenario can need; time overflows."""


class Core(Protocol):
    """The entry: goes on from ``state`` and says why it stopped."""

    def __call__(self, state: State) -> int:
        """Serve until a reason to stop."""


@lru_cache(maxsize=1)
def core() -> Core:
    """The entry, compiled when it is first called or read from disk."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return _core(int.from_bytes(digest.digest()[:4]))


def _core(version: int) -> Core:
    """Entry of one version of this folder: what is stored is named by its closure."""

    @stored
    def serve(state: State) -> int:
        at = state.at
        while at[0] < len(state.arrivals):
            row = state.arrivals[at[0]]
            at_ps = state.requests[row].due_ps
            stop = _advance(state, at_ps)
            if stop != DONE:
                return stop
            index = _route(state, at_ps)
            submit(state, index, row, at_ps)
            at[0] += 1
        return _advance(state, MOST_PS) if version >= 0 else DONE

    return serve


@compiled
def _route(state: State, at_ps: int) -> int:
    """Whom the built-in rule sends the request to that arrives now."""
    if not state.limits.balances:
        return int(state.at[0]) % len(state.replicas)
    best, least = 0, MOST_PS
    for index in range(len(state.replicas)):
        replica = state.replicas[index]
        load = replica.outstanding
        if replica.now_ps > at_ps:
            load += replica.finished_now
        if load < least:
            best, least = index, load
    return best


@compiled
def _advance(state: State, until_ps: int) -> int:
    """Take every step that starts before ``until_ps``."""
    used = state.log.used
    for index in range(len(state.replicas)):
        replica = state.replicas[index]
        while replica.now_ps < until_ps:
            if replica.n_running == 0 and replica.first_waiting < 0:
                break
            if used.max() >= state.limits.room:
                return FULL
            if not (replica.is_steady and skip_steps(state, index, until_ps)):
                take_step(state, index)
            if replica.barren_steps > BARREN_STEPS:
                return BARREN
            if replica.steps_left < 0:
                return ENDLESS
            if replica.now_ps >= MOST_PS:
                return TOO_LATE
    return DONE
