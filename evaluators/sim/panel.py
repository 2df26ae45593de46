"""What the engine shows a policy: the public table, and views of it as of now."""

from collections.abc import Callable, Sequence

import numpy as np

from evaluators.opaque import opaque_ids, renamed
from evaluators.scenario import Scenario
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


class Panel:
    """Builds the views of one engine; holds no private fact of a request.

    A row becomes public when it arrives (``show``) and again when it is preempted
    (``update``): only then does its row count as changed.
    """

    __slots__ = ("_facts", "_priorities", "found", "table")

    def __init__(
        self, scenario: Scenario, found: Callable[[int], int] | None = None
    ) -> None:
        """Make the views; ``found`` says how many tokens a request has in the cache."""
        self.found = found
        self.table = _table(scenario)
        self._facts = _facts(scenario)
        self._priorities = scenario.trace.priorities

    def show(self, row: int, arrived_ps: int) -> None:
        """Make a request visible, which arrived then."""
        floats, at_s = self.table.floats, arrived_ps / PS_PER_S
        if floats[0, row] != at_s:
            floats[1, row] += at_s - floats[0, row]
            floats[0, row] = at_s
        self.table.changed.append(row)

    def update(
        self, row: int, generated: int, blocks_needed: int, last_token_ps: int
    ) -> None:
        """Say how far a preempted request had come."""
        self.table.ints[5, row] = generated
        self.table.ints[6, row] = blocks_needed
        if last_token_ps >= 0:
            self.table.floats[2, row] = last_token_ps / PS_PER_S
        self.table.changed.append(row)

    def waiting(self, rows: Sequence[int]) -> Waiting:
        """View of waiting requests, in the order given."""
        found = self.found
        columns = np.zeros((2, len(rows)), dtype=np.int64)
        columns[0] = rows
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
        return Running(self.table, np.array(rows, dtype=np.int64), own)

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


def _table(scenario: Scenario) -> Table:
    trace = scenario.trace
    table = Table(len(trace))
    table.ints[0] = opaque_ids(len(trace), scenario.id_key)
    for i, name in enumerate(
        ("prompt_tokens", "predicted_tokens", "tenant", "slo_class"), 1
    ):
        table.ints[i] = getattr(trace, name)
    table.ints[6] = scenario.blocks_for(trace.prompt_tokens)
    table.ints[7], table.ints[8] = _prefixes(scenario), _sessions(scenario)
    arrived_s = trace.arrived_ps / PS_PER_S
    table.floats[0] = arrived_s
    table.floats[1] = arrived_s + _per_request(trace, scenario, "ttft_s")
    table.floats[2] = np.nan
    return table


def _prefixes(scenario: Scenario) -> Ints:
    """Opaque identity of each prompt's first block, -1 without one."""
    trace = scenario.trace
    first = np.full(len(trace), -1)
    if trace.prefixes is not None:
        offsets = trace.prefixes.offsets
        some = offsets[1:] > offsets[:-1]
        first[some] = trace.prefixes.ids[offsets[:-1][some]]
    return renamed(first, scenario.id_key)


def _sessions(scenario: Scenario) -> Ints:
    """Opaque identity of each request's session, that of its first request."""
    trace = scenario.trace
    first = list(range(len(trace)))
    if trace.sessions is None:
        return np.full(len(trace), -1)
    for row, after in enumerate(trace.sessions.after.tolist()):
        if after >= 0:
            first[row] = first[after]
    return renamed(np.array(first), scenario.id_key)


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
