"""What replicas reported, and what the router knows by itself: the views of a fleet."""

from collections.abc import Sequence

import numpy as np

from evaluators.fleet import ROLES, Fleet
from evaluators.opaque import opaque_ids, renamed
from evaluators.scenario import Scenario
from evaluators.sim.cluster.replica import NO_LOAD, Carried, Load
from evaluators.views import Ints
from evaluators.views_replicas import Movable, Replicas, Request, read_only
from evaluators.workloads.trace import PS_PER_S


class Reports:
    """Last reports of all replicas, and what was sent to whom since.

    A replica reports at every multiple of the fleet's delay; without a delay it reports
    at each question. What the router does and hears itself (health, requests sent and
    answered, migrations) is as of now.
    """

    def __init__(
        self, scenario: Scenario, fleet: Fleet, arrived_ps: Sequence[int]
    ) -> None:
        n = len(fleet.members)
        self.delay_ps = round(fleet.report_delay_s * PS_PER_S)
        self.at_ps = -1
        self.healthy = [1] * n
        self.outstanding = [0] * n
        self.in_migrations = [0] * n
        self._sent = [0] * n
        self._sent_tokens = [0] * n
        self._loads: Sequence[Load] = [NO_LOAD] * n
        self._asker = _Requests(scenario, arrived_ps)
        self._prompt_tokens: list[int] = scenario.trace.prompt_tokens.tolist()
        self._roles = [ROLES.index(member.role) for member in fleet.members]
        engines = [member.deployment for member in fleet.members]
        self._total_blocks = [engine.kv_blocks for engine in engines]
        self._block_tokens = [engine.block_tokens for engine in engines]
        self._max_running = [engine.max_running for engine in engines]
        self._tokens_per_s = [member.tokens_per_s for member in fleet.members]

    def due_ps(self, now_ps: int) -> int:
        """When the report was made that a question at this time sees."""
        return now_ps // self.delay_ps * self.delay_ps if self.delay_ps else now_ps

    def take(self, loads: Sequence[Load], now_ps: int) -> None:
        """All replicas report, having advanced to this time."""
        n = len(loads)
        self.at_ps, self._loads = now_ps, loads
        self._sent, self._sent_tokens = [0] * n, [0] * n

    def send(self, row: int, replica: int) -> None:
        """The router sends a request to a replica."""
        self.outstanding[replica] += 1
        self._sent[replica] += 1
        self._sent_tokens[replica] += self._prompt_tokens[row]

    def request(
        self, row: int, now_ps: int, arrived_ps: int, generated: int
    ) -> Request:
        """View of the request to be routed."""
        return self._asker.view(row, now_ps, arrived_ps, generated)

    def replicas(self, cached_tokens: Sequence[int], now_ps: int) -> Replicas:
        """View of the replicas; ``cached_tokens`` are those of the request on each."""
        loads = list(zip(*self._loads, strict=True))
        ints = (
            self._roles,
            self.healthy,
            self.outstanding,
            self._sent,
            self._sent_tokens,
            *loads[:5],
            self._total_blocks,
            self._block_tokens,
            self._max_running,
            *loads[5:7],
            cached_tokens,
            self.in_migrations,
        )
        age_s = (now_ps - self.at_ps) / PS_PER_S
        floats = (
            self._tokens_per_s,
            [step_ps / PS_PER_S for step_ps in loads[7]],
            [age_s] * len(cached_tokens),
        )
        return Replicas(read_only(ints, np.int64), read_only(floats, np.float64))

    def movable(self, found: Sequence[tuple[int, Carried]]) -> Movable:
        """View of decoding requests, each with its replica."""
        return self._asker.movable(found)


class _Requests:
    """Public facts of requests, as the router sees them."""

    def __init__(self, scenario: Scenario, arrived_ps: Sequence[int]) -> None:
        trace = scenario.trace
        self._arrived_ps = arrived_ps
        self._block_tokens = scenario.deployment.block_tokens
        columns = (
            opaque_ids(len(trace), scenario.id_key),
            trace.prompt_tokens,
            trace.predicted_tokens,
            np.zeros(len(trace), dtype=np.int64),
            trace.tenant,
            trace.slo_class,
            _sessions(scenario),
            _first_blocks(scenario),
        )
        self._ints = np.stack(columns, axis=1)
        limits = np.array([each.ttft_s for each in scenario.classes])
        self._ttft_s: list[float] = limits[trace.slo_class].tolist()

    def view(self, row: int, now_ps: int, arrived_ps: int, generated: int) -> Request:
        ints = self._ints[row].copy()
        ints[3] = generated
        arrived_s = arrived_ps / PS_PER_S
        floats = np.array((now_ps / PS_PER_S, arrived_s, arrived_s + self._ttft_s[row]))
        return Request(ints, floats)

    def movable(self, found: Sequence[tuple[int, Carried]]) -> Movable:
        rows = np.array([progress.row for _, progress in found])
        generated = np.array([progress.generated for _, progress in found])
        known = self._ints[rows].T
        tokens = known[1] + generated - 1
        ints = np.stack((
            known[0],
            [place for place, _ in found],
            *known[1:3],
            generated,
            -(-tokens // self._block_tokens),
            *known[4:6],
        ))
        arrived_s = [self._arrived_ps[row] / PS_PER_S for row in rows.tolist()]
        return Movable(ints, np.array([arrived_s]))


def _sessions(scenario: Scenario) -> Ints:
    """Opaque identity of each request's session, -1 where it has none."""
    trace = scenario.trace
    if trace.sessions is None:
        return np.full(len(trace), -1)
    root = list(range(len(trace)))
    for row, after in enumerate(trace.sessions.after.tolist()):
        if after >= 0:
            root[row] = root[after]
    found: Ints = opaque_ids(len(trace), scenario.id_key)[np.array(root)]
    return found


def _first_blocks(scenario: Scenario) -> Ints:
    """Opaque content of each request's first block, -1 where it has none."""
    prefixes = scenario.trace.prefixes
    found = np.full(len(scenario.trace), -1)
    if prefixes is None or not len(prefixes.ids):
        return found
    has = np.diff(prefixes.offsets) > 0
    found[has] = prefixes.ids[prefixes.offsets[:-1][has]]
    return renamed(found, scenario.id_key)
