"""Takes decode-only steps at once as long as each must do what the last one did."""

from evaluators.sim.compiled.jit import compiled
from evaluators.sim.compiled.log import note_steps, total_ps
from evaluators.sim.compiled.state import Pace, State
from evaluators.sim.compiled.step import duration_ps


@compiled
def skip_steps(state: State, index: int, until_ps: int) -> bool:
    """Take steps that start before ``until_ps`` and finish nobody; False if none.

    For a steady replica: every running request had a token in the last step, and who
    waits does not fit. Fewer steps than possible may be taken, never more.
    """
    replica = state.replicas[index]
    steps = _steps_before_a_finish(state, index)
    if steps == 0:
        return False
    n = replica.decodes
    replica.context_tokens += n
    replica.longest_context += 1
    durations = state.durations
    first_ps = duration_ps(durations, replica)
    growth_ps = durations.context_ps[n] * n + durations.longest_ps
    longest_ps = first_ps + growth_ps * (steps - 1)
    steps = min(steps, (until_ps - replica.now_ps + longest_ps - 1) // longest_ps)
    if _need(state, index, steps) > replica.free:
        steps = min(steps, replica.free // n * state.limits.block_tokens)
    if steps == 0:
        return False
    replica.context_tokens += n * (steps - 1)
    replica.longest_context += steps - 1
    _repeat(state, index, Pace(steps, first_ps, growth_ps))
    return True


@compiled
def _steps_before_a_finish(state: State, index: int) -> int:
    order, least = state.running[index], 1 << 62
    for at in range(state.replicas[index].n_running):
        request = state.requests[order[at]]
        least = min(least, request.output - request.generated)
    return least - 1


@compiled
def _need(state: State, index: int, steps: int) -> int:
    """Blocks that so many more tokens of each running request take."""
    order, size, need = state.running[index], state.limits.block_tokens, 0
    for at in range(state.replicas[index].n_running):
        request = state.requests[order[at]]
        over = request.computed + steps - request.capacity
        if over > 0:
            need += (over + size - 1) // size
    return need


@compiled
def _repeat(state: State, index: int, pace: Pace) -> None:
    replica, order, steps = state.replicas[index], state.running[index], pace.steps
    size, free = state.limits.block_tokens, replica.free
    note_steps(state.log, index, replica, replica.n_running, pace)
    replica.now_ps += total_ps(pace)
    for at in range(replica.n_running):
        request = state.requests[order[at]]
        request.computed += steps
        request.generated += steps
        request.goal += steps
        request.last_token_ps = replica.now_ps
        request.longest_gap_ps = max(request.longest_gap_ps, replica.step_ps)
        over = request.computed - request.capacity
        if over > 0:
            blocks = (over + size - 1) // size
            free -= blocks
            request.capacity += blocks * size
    replica.free, replica.finished_now = free, 0
    replica.least_free = min(replica.least_free, free)
    replica.steps_left -= steps
