"""Serves a whole scenario: brings each arrival to a replica, and replicas up to it."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from evaluators.sim.compiled.arrivals import pop
from evaluators.sim.compiled.jit import compiled, stored
from evaluators.sim.compiled.skip import skip_steps
from evaluators.sim.compiled.state import MOST_PS, Record, Records, State
from evaluators.sim.compiled.step import submit, take_step

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
        used, coming = state.arrivals.used, state.arrivals.coming
        used_log, stop = state.log.used, DONE
        while stop == DONE and version >= 0:
            at_ps = coming[0].at_ps if used[0] else MOST_PS
            index = _furthest_behind(state.replicas, at_ps)
            if index < 0 and at_ps >= MOST_PS:
                return TOO_LATE if used[0] else DONE
            if index < 0:
                target = _route(state, at_ps)
                submit(state, target, pop(state.arrivals), at_ps)
                used[1] += 1
                continue
            if max(used_log[0], used_log[1]) >= state.limits.room:
                return FULL
            _go_on(state, index, at_ps)
            stop = _why_stop(state.replicas[index], state.limits.barren_steps)
        return stop

    return serve


@compiled
def _furthest_behind(replicas: Records, until_ps: int) -> int:
    """Of the replicas with work, the one that has come least far; -1 if all have."""
    found, least_ps = -1, until_ps
    for index in range(len(replicas)):
        replica = replicas[index]
        busy = replica.n_running > 0 or replica.first_waiting >= 0
        if busy and replica.decides_ps < least_ps:
            found, least_ps = index, replica.decides_ps
    return found


@compiled
def _go_on(state: State, index: int, until_ps: int) -> None:
    """Take a step of the replica that is furthest behind, or several equal ones.

    Where requests follow others, only as far as no other replica may finish one.
    """
    replica = state.replicas[index]
    if state.limits.has_followers:
        replica_ps, replica.decides_ps = replica.decides_ps, until_ps
        other = _furthest_behind(state.replicas, until_ps)
        replica.decides_ps = replica_ps
        if other >= 0:
            until_ps = max(replica_ps + 1, state.replicas[other].decides_ps)
    if not (replica.is_steady and skip_steps(state, index, until_ps)):
        take_step(state, index)


@compiled
def _why_stop(replica: Record, barren_steps: int) -> int:
    if replica.barren_steps > barren_steps:
        return BARREN
    if replica.steps_left < 0:
        return ENDLESS
    return TOO_LATE if replica.now_ps >= MOST_PS else DONE


@compiled
def _route(state: State, at_ps: int) -> int:
    """Whom the built-in rule sends the request to that arrives now."""
    replicas = state.replicas
    if not state.limits.balances:
        return int(state.arrivals.used[1]) % len(replicas)
    best, least = 0, MOST_PS
    for index in range(len(replicas)):
        load = replicas[index].outstanding
        if replicas[index].now_ps > at_ps:
            load += replicas[index].finished_now
        if load < least:
            best, least = index, load
    return best
