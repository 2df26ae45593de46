"""What replicas reported, and what the router knows by itself: the views of a fleet."""

from collections.abc import Sequence

import numpy as np

from evaluators.fleet import ROLES, Fleet
from evaluators.scenario import Scenario
from evaluators.sim.cluster.replica import NO_LOAD, Carried, Load
from evaluators.sim.ledger import Ledger
from evaluators.views_replicas import Movable, Replicas, Request, read_only
from evaluators.workloads.trace import PS_PER_S


class Reports:
    """Last reports of all replicas, and what was sent to whom since.

    A replica reports at every multiple of the fleet's delay; without a delay it reports
    at each question. What the router does and hears itself (health, requests sent and
    answered, migrations) is as of now.
    """

    def __init__(self, scenario: Scenario, fleet: Fleet, ledger: Ledger) -> None:
        n = len(fleet.members)
        self.delay_ps = round(fleet.report_delay_s * PS_PER_S)
        self.at_ps = -1
        self.healthy = [1] * n
        self.outstanding = [0] * n
        self.in_migrations = [0] * n
        self._sent = [0] * n
        self._sent_tokens = [0] * n
        self._loads: Sequence[Load] = [NO_LOAD] * n
        self._asker = _Requests(scenario, ledger)
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

    def __init__(self, scenario: Scenario, ledger: Ledger) -> None:
        trace, self._identities = scenario.trace, ledger.identities
        self._arrived_ps = ledger.arrived_ps
        ids, sessions, first_blocks = self._identities.known
        self._block_tokens = scenario.deployment.block_tokens
        columns = (
            ids,
            trace.prompt_tokens,
            trace.predicted_tokens,
            np.zeros(len(trace), dtype=np.int64),
            trace.tenant,
            trace.slo_class,
            sessions,
            first_blocks,
        )
        self._ints = np.stack(columns, axis=1)
        limits = np.array([each.ttft_s for each in scenario.classes])
        self._ttft_s: list[float] = limits[trace.slo_class].tolist()

    def view(self, row: int, now_ps: int, arrived_ps: int, generated: int) -> Request:
        ints = self._ints[row].copy()
        if self._identities.places is not None:
            known = self._identities.known
            ints[0], ints[6:] = known[0, row], known[1:, row]
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
            self._identities.known[0, rows],
            [place for place, _ in found],
            *known[1:3],
            generated,
            -(-tokens // self._block_tokens),
            *known[4:6],
        ))
        arrived_s = [self._arrived_ps[row] / PS_PER_S for row in rows.tolist()]
        return Movable(ints, np.array([arrived_s]))
