"""When requests come: at times of their own, or after another one has finished."""

import numpy as np

from evaluators.scenario import Scenario
from evaluators.workloads.prefixes import Sessions


class Arrivals:
    """The requests of a scenario that are let in, and what follows the finished ones.

    ``rejected`` are the rows whose prompt and output together exceed the largest KV
    memory of ``kv_blocks``, which are refused as vLLM refuses what is over
    max_model_len, and those that follow a rejected one.
    """

    __slots__ = ("_followers", "_out", "first", "rejected")

    def __init__(self, scenario: Scenario, kv_blocks: int = 0) -> None:
        most = kv_blocks or scenario.deployment.kv_blocks
        self.rejected = rejected_rows(scenario, most)
        out = self._out = set(self.rejected)
        sessions = scenario.trace.sessions
        waits = sessions is not None
        self._followers = _followers(sessions) if sessions is not None else {}
        pairs = enumerate(scenario.trace.arrived_ps.tolist())
        self.first: list[tuple[int, int]] = [
            (at, row)
            for row, at in pairs
            if row not in out and not (waits and _follows(sessions, row))
        ]
        """(arrival, row) of those that wait for no other request, in order."""

    @property
    def are_open(self) -> bool:
        """Whether every request arrives at a time of its own."""
        return not self._followers

    def after(self, row: int, finished_ps: int) -> list[tuple[int, int]]:
        """(arrival, row) of the requests that the finish of this one brings."""
        found = self._followers.get(row)
        if not found:
            return []
        out = self._out
        return [(finished_ps + wait, r) for r, wait in found if r not in out]


def rejected_rows(scenario: Scenario, kv_blocks: int) -> list[int]:
    """Rows that do not fit so much memory, and those that follow them, in order."""
    trace = scenario.trace
    blocks = scenario.blocks_for(trace.prompt_tokens + trace.output_tokens - 1)
    over = blocks > kv_blocks
    if over.any() and trace.sessions is not None:
        for row, after in enumerate(trace.sessions.after.tolist()):
            over[row] |= after >= 0 and bool(over[after])
    rows: list[int] = np.flatnonzero(over).tolist()
    return rows


def _follows(sessions: Sessions | None, row: int) -> bool:
    return sessions is not None and int(sessions.after[row]) >= 0


def _followers(sessions: Sessions) -> dict[int, list[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = {}
    columns = zip(sessions.after.tolist(), sessions.wait_ps.tolist(), strict=True)
    for row, (after, wait) in enumerate(columns):
        if after >= 0:
            found.setdefault(after, []).append((row, wait))
    return found
