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
"""Steps and events, a row for each field of ``state``."""


def taken(state: State) -> Part:
    """What the log holds; it is empty afterwards."""
    log = state.log
    steps, events = log.used.tolist()
    part = (
        rows_of(log.steps, STEP)[:steps].T.copy(),
        rows_of(log.events, EVENT)[:events].T.copy(),
    )
    log.used[:] = 0
    state.replicas["run_of_steps"] = -1
    return part


def run_of(
    scenario: Scenario, state: State, logs: Sequence[Part], rejected: Sequence[int]
) -> Run:
    """Everything that happened, as columns."""
    requests, replicas = state.requests, state.replicas
    steps, events = (np.concatenate(part, axis=1) for part in zip(*logs, strict=True))
    steps_of = tuple(Steps(*part[:-1]) for part in _by_replica(steps, len(replicas)))
    is_gap = events[2] == GAP
    decisions = events[:, ~is_gap]
    decisions = decisions[:, np.argsort(decisions[-1], kind="stable")]
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
        broken_gaps_ps=events[0, is_gap],
        steps=joined(steps_of),
        decisions=_decisions(decisions),
        rejected=tuple(rejected),
        questions=0,
        peak_blocks=total - int(replicas["least_free"].min()),
        end_blocks=int((total - replicas["free"]).sum()),
        steps_of=steps_of,
        replica=np.array(requests["replica"]) if scenario.fleet else None,
        outlived=tuple(np.flatnonzero(requests["outlived"]).tolist()),
    )


def _by_replica(columns: Ints, n_replicas: int) -> list[Ints]:
    """Columns of each replica, which the last one names."""
    if n_replicas == 1:
        return [columns]
    return [columns[:, columns[-1] == index] for index in range(n_replicas)]


def _decisions(columns: Ints) -> tuple[Decision, ...]:
    at_ps, rows, kinds = columns[0], columns[1], columns[2]
    names = np.where(kinds == ADMIT, "admit", "preempt").tolist()
    fields = zip(at_ps.tolist(), names, rows.tolist(), strict=True)
    return tuple(map(partial(tuple.__new__, Decision), fields))
