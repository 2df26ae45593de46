"""Writes down what happens in the core; equal-shaped steps share a row."""

from evaluators.sim.compiled.jit import compiled
from evaluators.sim.compiled.state import Log, Pace, Record


@compiled
def note_steps(log: Log, index: int, replica: Record, gaps: int, pace: Pace) -> None:
    """Steps that took place from ``now_ps`` on, as part of a run of steps or a new one.

    ``gaps`` of their tokens came one step after another.
    """
    start_ps, rise_ps = replica.now_ps, pace.first_ps - replica.step_ps
    if not _continues(log, replica, gaps, pace):
        at = int(log.used[0])
        log.used[0] += 1
        replica.run_of_steps, rise_ps = at, pace.growth_ps
        new = log.steps[at]
        new.start_ps, new.count, new.first_ps = start_ps, 0, pace.first_ps
        new.gaps, new.decodes, new.replica = gaps, replica.decodes, index
        new.prefill_tokens = replica.prefill_tokens
    run = log.steps[replica.run_of_steps]
    run.count += pace.steps
    run.growth_ps = rise_ps
    replica.step_ps = pace.first_ps + pace.growth_ps * (pace.steps - 1)
    replica.run_end_ps = start_ps + total_ps(pace)


@compiled
def total_ps(pace: Pace) -> int:
    """Duration of all steps together."""
    steps = pace.steps
    return steps * pace.first_ps + pace.growth_ps * (steps * (steps - 1) // 2)


@compiled
def _continues(log: Log, replica: Record, gaps: int, pace: Pace) -> bool:
    if replica.run_of_steps < 0 or replica.run_end_ps != replica.now_ps:
        return False
    run, rise_ps = log.steps[replica.run_of_steps], pace.first_ps - replica.step_ps
    same = run.gaps == gaps and run.decodes == replica.decodes
    same = same and run.prefill_tokens == replica.prefill_tokens
    steady = run.count == 1 or run.growth_ps == rise_ps
    steady = steady and (pace.steps == 1 or pace.growth_ps == rise_ps)
    return bool(same and steady and rise_ps >= 0)


@compiled
def note_event(log: Log, event: tuple[int, int, int, int]) -> None:
    """An event: when (a gap: how long), whose, of which kind, and where."""
    new = log.events[log.used[1]]
    new.at_ps, new.row, new.kind, new.replica = event
    log.used[1] += 1
