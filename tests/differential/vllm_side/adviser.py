"""Asks a policy what our engine would ask it, of an engine that is not ours.

Knows requests by their row in the trace, and the engine by what it is told; imports
nothing of that engine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evaluators.scenario import Scenario
from evaluators.sim.alarm import Alarm
from evaluators.sim.hooks import Policy
from evaluators.sim.panel import Panel, n_tenants
from evaluators.views import Engine, Running
from evaluators.workloads.trace import PS_PER_S

INFINITY = float("inf")


class Progress(NamedTuple):
    """How far a running request is; its row, and what ``views.Running`` shows of it."""

    row: int
    computed: int
    blocks: int
    generated: int


class Grant(NamedTuple):
    """What a step computes of a request; with ``decoding``, not its first token."""

    row: int
    tokens: int
    emits: bool
    decoding: bool


@dataclass(slots=True)
class Time:
    """What time it is for the engine; whoever drives it sets both."""

    now_ps: int = 0
    last_step_ps: int = 0


class Adviser:
    """One policy, what it last said, and what happened since it was asked."""

    def __init__(self, scenario: Scenario, policy: Policy, time: Time) -> None:
        if policy.schedule:
            raise ValueError(
                "the policy answers whole plans (schedule), which vLLM does not take; "
                "expected admit_key, victim_key, token_budget or prompt_cap"
            )
        self.policy, self.time = policy, time
        self.deployment = scenario.deployment
        self.budget, self.cap = scenario.deployment.max_step_tokens, 0
        self.decoding: set[int] = set()
        self._panel = Panel(scenario)
        self._tenant = scenario.trace.tenant.tolist()
        self._prompt = scenario.trace.prompt_tokens.tolist()
        self._arrived: dict[int, tuple[int, int]] = {}
        self._last_token_ps = [-1] * len(scenario.trace)
        self._served = [[0] * n_tenants(scenario) for _ in range(2)]
        self._keys: dict[int, float] = {}
        self._alarm = Alarm(policy.ask, scenario.trace.priorities)
        self._dirty = False

    # -- what happened -------------------------------------------------------------

    def arrive(self, row: int, arrived_ps: int) -> None:
        """A request came at that time."""
        self._panel.show(row, arrived_ps)
        self._arrived[row] = arrived_ps, row
        self._dirty = True

    def preempt(self, row: int, generated: int) -> None:
        """A running request lost its memory."""
        self._show(row, generated)
        self.decoding.discard(row)
        self._dirty = True

    def decided(self, grant: Grant) -> None:
        """The next step computes so much of a request."""
        if grant.emits:
            self.decoding.add(grant.row)

    def _show(self, row: int, generated: int) -> None:
        blocks = -(-(self._prompt[row] + generated) // self.deployment.block_tokens)
        self._panel.update(row, generated, blocks, self._last_token_ps[row])

    def ran(self, grant: Grant, generated: int, *, waits: bool, finished: bool) -> None:
        """A step ends now, after which a request has so many tokens generated.

        It ``waits`` if it was preempted after the step had been decided.
        """
        row, tenant = grant.row, self._tenant[grant.row]
        if not grant.decoding:
            self._served[0][tenant] += grant.tokens
        if grant.emits:
            self._served[1][tenant] += 1
            self._last_token_ps[row] = self.time.now_ps
            self._dirty |= not grant.decoding
        if finished:
            self.decoding.discard(row)
            self._dirty = True
        elif waits:
            self._show(row, generated)

    # -- what to do ----------------------------------------------------------------

    def advise(
        self, waiting: Sequence[int], running: Sequence[Progress], free: int
    ) -> list[int] | None:
        """Take the policy's word if it is due; the waiting rows in its order, or None.

        ``free`` are the KV blocks that can be had.
        """
        policy = self.policy
        if not self._is_due():
            return None
        room = len(running) < self.deployment.max_running
        if not (room and waiting and policy.answers_admission):
            return None
        matters = len(waiting) > 1 or (running and policy.holds_back)
        ranked = policy.admit_key is not None and matters
        self._keys = {}
        if not (ranked or policy.sizes_steps):
            return None
        rows = sorted(waiting, key=self._arrived.__getitem__)
        view = self._panel.waiting(rows) if ranked else None
        answer = policy.admission(view, self._engine(waiting, running, free))
        if answer.budget is not None:
            most = self.deployment.max_step_tokens
            self.budget = min(most, max(1, answer.budget))
        if answer.cap is not None:
            self.cap = answer.cap
        if answer.keys is None:
            return None
        self._keys = dict(zip(rows, answer.keys.tolist(), strict=True))
        return sorted(rows, key=self._keys.__getitem__)

    def is_held(self, row: int) -> bool:
        """Whether the policy keeps the request out while anything runs."""
        return self._keys.get(row) == INFINITY

    def victims(
        self, waiting: Sequence[int], running: Sequence[Progress], free: int
    ) -> list[int]:
        """Places in the running order, the first to be preempted last."""
        assert self.policy.victim_key is not None
        engine = self._engine(waiting, running, free)
        keys = self.policy.ranks(self.policy.victim_key, self._running(running), engine)
        order: list[int] = np.argsort(keys, kind="stable").tolist()
        return order

    def _is_due(self) -> bool:
        due = self._alarm.rings(self.time.now_ps) or self._dirty
        self._dirty = False
        return due

    # -- what a policy sees --------------------------------------------------------

    def _running(self, running: Sequence[Progress]) -> Running:
        rows = [one.row for one in running]
        return self._panel.running(
            rows,
            [one.computed for one in running],
            [one.blocks for one in running],
            [one.generated for one in running],
            [self._last_token_ps[row] for row in rows],
        )

    def _engine(
        self, waiting: Sequence[int], running: Sequence[Progress], free: int
    ) -> Engine:
        contexts = [one.computed for one in running if one.row in self.decoding]
        now_ps = self.time.now_ps
        scalars = (
            now_ps / PS_PER_S,
            free,
            len(waiting),
            len(running),
            len(contexts),
            sum(contexts),
            self.time.last_step_ps / PS_PER_S,
        )
        rows = (waiting, [one.row for one in running])
        tenants = (*self._served, *map(self._count, rows))
        return self._panel.engine(now_ps, scalars, tenants)

    def _count(self, rows: Sequence[int]) -> list[int]:
        counts = [0] * len(self._served[0])
        for row in rows:
            counts[self._tenant[row]] += 1
        return counts
