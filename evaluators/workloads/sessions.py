"""Closed loops: sessions whose requests each wait for one before, woven to a trace."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from evaluators.rng import stream
from evaluators.scenario import Half, Split, split_of
from evaluators.workloads.annotations import paced_ps, predicted, prompt_classes
from evaluators.workloads.prefixes import Ints, Sessions
from evaluators.workloads.relations import (
    earliest_ps,
    followers,
    joined,
    taken,
)
from evaluators.workloads.replay import told
from evaluators.workloads.trace import PS_PER_S, Trace
from evaluators.workloads.workload import check_draw

WHOLE_STARTS_PER_S = 0.1
"""Sessions that start a second in ``whole``: recordings of them have no common clock,
so this is our choice."""

Part = Split | Half | Literal["whole"]


class Session(NamedTuple):
    """Requests of one user, columns of shape (n,), in order of their beginning.

    Request i waits ``wait_ps[i]`` after request ``after[i]`` of the session has
    finished, or after the session's start (-1). ``chains`` are its block ids, equal in
    two sessions only where the contents are.
    """

    tenant: int
    prompt_tokens: Ints
    output_tokens: Ints
    after: Ints
    wait_ps: Ints
    is_tool: Ints
    chains: tuple[Ints, ...]

    def first(self, n: int) -> "Session":
        """The session cut after ``n`` requests."""
        return Session(
            self.tenant,
            self.prompt_tokens[:n],
            self.output_tokens[:n],
            self.after[:n],
            self.wait_ps[:n],
            self.is_tool[:n],
            self.chains[:n],
        )


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Sessions of a source, each started at a time of its own.

    ``source(part, rng)`` gives the sessions of a part one by one in the order in which
    they start; those of "whole" are all that there are. A draw takes as many as hold
    ``n_requests``, the last one cut, and starts them as a Poisson process over
    n_requests / rate seconds. The rate moves these starts only: waits stay, so a
    trace goes on after the last start, and rates below about one session at a time are
    not load.
    """

    name: str
    n_tenants: int
    prediction_error: float
    block_tokens: int
    source: Callable[[Part, np.random.Generator], Iterator[Session]]

    def draw(
        self, part: Split | Half, seed: int, rate_per_s: float, n_requests: int
    ) -> Trace:
        """See ``Workload``; raises ``ValueError`` when the part has fewer requests."""
        check_draw(rate_per_s, n_requests)
        sessions, found, split = [], 0, split_of(part)
        for session in self.source(part, stream(seed, self.name, split, "sessions")):
            sessions.append(session.first(n_requests - found))
            found += len(sessions[-1].after)
            if found == n_requests:
                break
        if found < n_requests:
            raise ValueError(
                f"{self.name}: {told(part)} holds {found} requests; asked for "
                f"{n_requests}; ask for fewer"
            )
        starts_per_s = rate_per_s * len(sessions) / n_requests
        return self._woven(sessions, starts_per_s, (seed, split))

    def whole(self, seed: int) -> Trace:
        """All sessions, one starting every ten seconds in the mean."""
        sessions = list(self.source("whole", stream(seed, self.name, "whole")))
        return self._woven(sessions, WHOLE_STARTS_PER_S, (seed, "whole"))

    def _woven(
        self, sessions: list[Session], starts_per_s: float, key: tuple[int, str]
    ) -> Trace:
        """One trace of them all. What is drawn here does not depend on the rate."""
        random = {
            purpose: stream(key[0], self.name, key[1], purpose)
            for purpose in ("starts", "class", "prediction")
        }
        gaps = random["starts"].exponential(1.0, len(sessions))
        starts = paced_ps(np.cumsum(gaps), starts_per_s)
        sizes = np.array([len(session.after) for session in sessions])
        relations, since_ps = _relations(sessions, sizes)
        arrived = earliest_ps(relations, np.repeat(starts, sizes) + since_ps)
        order = np.argsort(arrived, kind="stable")
        opening = np.array([int(session.prompt_tokens[0]) for session in sessions])
        classes = np.repeat(prompt_classes(opening, random["class"]), sizes)
        outputs = _joined(sessions, "output_tokens")
        guesses = predicted(outputs, self.prediction_error, random["prediction"])
        chains = [chain for session in sessions for chain in session.chains]
        tenants = np.array([session.tenant for session in sessions])
        return Trace(
            arrived_ps=arrived[order],
            prompt_tokens=_joined(sessions, "prompt_tokens")[order],
            output_tokens=outputs[order],
            predicted_tokens=guesses[order],
            tenant=np.repeat(tenants, sizes)[order],
            slo_class=classes[order],
            prefixes=taken(joined(self.block_tokens, chains), order),
            sessions=followers(relations, order),
        )


def _relations(sessions: list[Session], sizes: Ints) -> tuple[Sessions, Ints]:
    """Who follows whom, and when after its session's start comes who follows none."""
    after, waits = _joined(sessions, "after"), _joined(sessions, "wait_ps")
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    follows = after >= 0
    rows = np.where(follows, first + after, -1)
    pauses = np.where(follows, waits, 0)
    relations = Sessions(rows, pauses, _joined(sessions, "is_tool"))
    return relations, np.where(follows, 0, waits)


def _joined(sessions: list[Session], column: str) -> Ints:
    return np.concatenate([getattr(session, column) for session in sessions])


def seconds_ps(seconds: list[float]) -> Ints:
    """Whole picoseconds."""
    return np.rint(np.array(seconds, dtype=np.float64) * PS_PER_S).astype(np.int64)
