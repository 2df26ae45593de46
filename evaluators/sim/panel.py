"""What the engine shows a policy: the public table, and views of it as of now."""

from collections.abc import Callable, Sequence

import numpy as np

from evaluators.scenario import Scenario
from evaluators.sim.identities import Identities
from evaluators.views import (
    TENANT_COLUMNS,
    Engine,
    EngineFacts,
    Floats,
    Ints,
    Running,
    Table,
    Waiting,
)
from evaluators.workloads.trace import PS_PER_S, Trace

IDENTITIES = (0, 8, 7)
"""Columns of the table for the rows of ``Identities.known``."""


class Panel:
    """Builds the views of one engine; holds no private fact of a request.

    A row becomes public when it arrives (``show``) and again when it is preempted
    (``update``): only then does its row count as changed. Policies know it by its
    place, see ``Identities``; where that is not the row, ``_hidden`` has the words of
    the table by row, from which those of who comes to this engine are taken.
    """

    __slots__ = (
        "_facts",
        "_hidden",
        "_identities",
        "_is_public",
        "_priorities",
        "found",
        "table",
    )

    def __init__(
        self,
        scenario: Scenario,
        found: Callable[[int], int] | None = None,
        identities: Identities | None = None,
    ) -> None:
        """Make the views; ``found`` says how many tokens a request has in the cache.

        Engines of one fleet share ``identities``.
        """
        self.found = found
        self._identities = identities or Identities(scenario)
        self.table = _table(scenario, self._identities)
        self._hidden: Ints | None = None
        if self._identities.places is not None:
            self._hidden = self.table.words
            self.table = Table(len(scenario.trace))
            self._is_public = bytearray(len(scenario.trace))
        self._facts = _facts(scenario)
        self._priorities = scenario.trace.priorities

    def show(self, row: int, arrived_ps: int) -> None:
        """Make a request visible, which arrived then."""
        place = self._public(row)
        floats, at_s = self.table.floats, arrived_ps / PS_PER_S
        if floats[0, place] != at_s:
            floats[1, place] += at_s - floats[0, place]
            floats[0, place] = at_s
        self.table.changed.append(place)

    def update(
        self, row: int, generated: int, blocks_needed: int, last_token_ps: int
    ) -> None:
        """Say how far a preempted request had come."""
        place = self._public(row)
        self.table.ints[5, place] = generated
        self.table.ints[6, place] = blocks_needed
        if last_token_ps >= 0:
            self.table.floats[2, place] = last_token_ps / PS_PER_S
        self.table.changed.append(place)

    def _public(self, row: int) -> int:
        """Place of a request, where the table has its facts from now on."""
        place = self._identities.arrive(row)
        if self._hidden is not None and not self._is_public[place]:
            self._is_public[place] = True
            self.table.words[:, place] = self._hidden[:, row]
            self.table.ints[IDENTITIES, place] = self._identities.known[:, row]
        return place

    def waiting(self, rows: Sequence[int]) -> Waiting:
        """View of waiting requests, in the order given."""
        found, places = self.found, self._identities.places
        columns = np.zeros((2, len(rows)), dtype=np.int64)
        columns[0] = rows if places is None else [places[row] for row in rows]
        if found is not None:
            columns[1] = [found(row) for row in rows]
        columns.flags.writeable = False
        return Waiting(self.table, columns[0], (columns[1],))

    def running(
        self,
        rows: Sequence[int],
        computed: Sequence[int],
        blocks: Sequence[int],
        generated: Sequence[int],
        last_token_ps: Sequence[int],
    ) -> Running:
        """View of running requests with their progress; -1 as last token is none."""
        ints = np.array([computed, blocks, generated], dtype=np.int64)
        last = np.array(last_token_ps, dtype=np.float64)
        last[last < 0] = np.nan
        own: tuple[Ints | Floats, ...] = (*ints, last / PS_PER_S)
        for column in own:
            column.flags.writeable = False
        places = self._identities.places
        shown = rows if places is None else [places[row] for row in rows]
        return Running(self.table, np.array(shown, dtype=np.int64), own)

    def engine(
        self, now_ps: int, scalars: Sequence[float], tenants: Sequence[list[int]]
    ) -> Engine:
        """View of the engine; ``scalars`` follow ``views.ENGINE_SCALARS``.

        ``tenants`` are four lists, one entry a tenant: prompt tokens served, output
        tokens served, waiting, running.
        """
        columns = np.zeros((len(TENANT_COLUMNS), len(tenants[0])), dtype=np.int64)
        columns[: len(tenants)] = tenants
        if self._priorities is not None:
            levels = self._priorities.at(now_ps)[: columns.shape[1]]
            columns[-1, : len(levels)] = levels
        columns.flags.writeable = False
        return Engine(self._facts, list(map(float, scalars)), columns)


def n_tenants(scenario: Scenario) -> int:
    """Tenants of a scenario, whether or not any of their requests has arrived."""
    return max(scenario.n_tenants, int(scenario.trace.tenant.max()) + 1)


def _table(scenario: Scenario, identities: Identities) -> Table:
    trace = scenario.trace
    table = Table(len(trace))
    table.ints[IDENTITIES, :] = identities.known
    for i, name in enumerate(
        ("prompt_tokens", "predicted_tokens", "tenant", "slo_class"), 1
    ):
        table.ints[i] = getattr(trace, name)
    table.ints[6] = scenario.blocks_for(trace.prompt_tokens)
    arrived_s = trace.arrived_ps / PS_PER_S
    table.floats[0] = arrived_s
    table.floats[1] = arrived_s + _per_request(trace, scenario, "ttft_s")
    table.floats[2] = np.nan
    return table


def _per_request(trace: Trace, scenario: Scenario, name: str) -> Floats:
    by_class = np.array([getattr(c, name) for c in scenario.classes])
    return by_class[trace.slo_class]


def _facts(scenario: Scenario) -> EngineFacts:
    d = scenario.deployment
    constants = [
        d.kv_blocks,
        d.block_tokens,
        d.max_running,
        d.max_step_tokens,
        scenario.prediction_error,
        d.host_memory.blocks if d.host_memory else 0,
        d.host_memory.block_copy_ps / PS_PER_S if d.host_memory else 0,
    ]
    classes = [[c.ttft_s, c.tpot_s, c.gap_s] for c in scenario.classes]
    columns = np.array(classes, dtype=np.float64).T.copy()
    columns.flags.writeable = False
    return EngineFacts(np.array(constants, dtype=np.float64), columns)
