"""Makes a ``Run`` of what the compiled core has written down."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from evaluators.scenario import Scenario
from evaluators.sim.compiled.state import ADMIT, EVENT, GAP, STEP, State, rows_of
from evaluators.sim.ledger import joined
from evaluators.sim.run import Decision, Run, Steps
from evaluators.views import Ints

Part = tuple[Ints, Ints]
"""Steps and events as rows of integers, in the fields of ``state``."""


def taken(state: State) -> Part:
    """What the log holds; it is empty afterwards."""
    log = state.log
    steps, events = log.used.tolist()
    part = (
        rows_of(log.steps, STEP)[:steps].copy(),
        rows_of(log.events, EVENT)[:events].copy(),
    )
    log.used[:] = 0
    state.replicas["run_of_steps"] = -1
    return part


def run_of(
    scenario: Scenario, state: State, logs: Sequence[Part], rejected: Sequence[int]
) -> Run:
    """Everything that happened, as columns."""
    requests, replicas = state.requests, state.replicas
    steps, events = (np.concatenate(part) for part in zip(*logs, strict=True))
    is_gap = events[:, 2] == GAP
    decisions = events[~is_gap]
    decisions = decisions[np.argsort(decisions[:, -1], kind="stable")]
    steps_of = tuple(_steps(steps[steps[:, -1] == i]) for i in range(len(replicas)))
    total = scenario.deployment.kv_blocks
    return Run(
        arrived_ps=np.array(requests["arrived_ps"]),
        admitted_ps=np.array(requests["admitted_ps"]),
        first_token_ps=np.array(requests["first_token_ps"]),
        finished_ps=np.array(requests["finished_ps"]),
        longest_gap_ps=np.array(requests["longest_gap_ps"]),
        preemptions=np.array(requests["preemptions"]),
        stall_ps=np.array(requests["stall_ps"]),
        hit_tokens=np.array(requests["hit_tokens"]),
        broken_gaps_ps=events[is_gap, 0],
        steps=joined(steps_of),
        decisions=_decisions(decisions),
        rejected=tuple(rejected),
        questions=0,
        peak_blocks=total - int(replicas["least_free"].min()),
        end_blocks=int((total - replicas["free"]).sum()),
        steps_of=steps_of,
        replica=np.array(requests["replica"]) if scenario.fleet else None,
    )


def _steps(rows: Ints) -> Steps:
    return Steps(*rows[:, :-1].T.copy())


def _decisions(rows: Ints) -> tuple[Decision, ...]:
    kinds = np.where(rows[:, 2] == ADMIT, "admit", "preempt").tolist()
    fields = zip(rows[:, 0].tolist(), kinds, rows[:, 1].tolist(), strict=True)
    return tuple(map(partial(tuple.__new__, Decision), fields))
