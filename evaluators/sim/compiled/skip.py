"""Takes decode-only steps at once as long as each must do what the last one did."""

from evaluators.sim.compiled.blocks import take_blocks
from evaluators.sim.compiled.durations import attention_ps, duration_ps, segment
from evaluators.sim.compiled.jit import compiled
from evaluators.sim.compiled.log import note_steps, total_ps
from evaluators.sim.compiled.state import (
    MOST_PS,
    Durations,
    Pace,
    Record,
    Records,
    State,
)
from evaluators.views import Ints


@compiled
def skip_steps(state: State, index: int, until_ps: int) -> bool:
    """Take steps that start before ``until_ps`` and finish nobody; False if none.

    For a steady replica: every running request had a token in the last step, and who
    waits does not fit. Fewer steps than possible may be taken, never more.
    """
    replica, size = state.replicas[index], state.limits.block_tokens
    rows = state.running[index, : replica.n_running]
    steps = _steps_before_a_finish(state.requests, rows)
    if state.limits.caches:
        steps = min(steps, _steps_before_a_find(state.requests, rows, size))
    if steps == 0:
        return False
    first_ps, growth_ps, edge = _pace_ps(state.durations, replica)
    steps = min(steps, edge)
    longest_ps = first_ps + growth_ps * (steps - 1)
    steps = min(steps, _in_time(state, until_ps - replica.now_ps, longest_ps))
    need = _need(state.requests, rows, steps, size)
    if need > replica.free:
        steps = min(steps, replica.free // len(rows) * size)
        need = _need(state.requests, rows, steps, size)
    if steps == 0:
        return False
    take_blocks(state, index, need)
    pace = Pace(steps, first_ps, growth_ps)
    note_steps(state.log, index, replica, len(rows), pace)
    _pass(replica, pace, state.limits.decides_ahead)
    _repeat(state.requests, rows, replica, steps, size)
    return True


@compiled
def _in_time(state: State, left_ps: int, longest_ps: int) -> int:
    """Steps that are decided within the time left, none of which takes longer.

    Who decides ahead has to decide the first one now, and each when the last begins.
    """
    steps = (left_ps + longest_ps - 1) // longest_ps
    return 1 + max(0, steps) if state.limits.decides_ahead else steps


@compiled
def _pace_ps(durations: Durations, replica: Record) -> tuple[int, int, int]:
    """Duration of the next step, by how much each later one is longer, and how many.

    The replica's aggregates are those of the step before.
    """
    knots, n = durations.knots, replica.decodes
    context = replica.context_tokens + n
    at, edge = segment(knots, n, context), MOST_PS
    if at + 1 < len(knots):
        edge = knots[at + 1] - (context + n - 1) // n + 1
    growth_ps = durations.tables_ps[2 + at, n] * n + durations.longest_ps
    first_ps = duration_ps(durations, replica) + durations.longest_ps
    if len(knots) == 1:
        return first_ps + durations.tables_ps[2, n] * n, growth_ps, edge
    first_ps -= attention_ps(durations, n, context - n)
    return first_ps + attention_ps(durations, n, context), growth_ps, edge


@compiled
def _pass(replica: Record, pace: Pace, ahead: bool) -> None:
    """The replica has taken so many steps, in which nobody finished."""
    replica.context_tokens += replica.decodes * pace.steps
    replica.longest_context += pace.steps
    replica.now_ps += total_ps(pace)
    replica.decides_ps = replica.now_ps
    if ahead:
        replica.decides_ps -= replica.step_ps
    replica.steps_left -= pace.steps
    replica.finished_now = 0


@compiled
def _steps_before_a_finish(requests: Records, rows: Ints) -> int:
    least = 1 << 62
    for row in rows:
        request = requests[row]
        least = min(least, request.output - request.generated)
    return least - 1


@compiled
def _steps_before_a_find(requests: Records, rows: Ints, size: int) -> int:
    """Steps that fill no block which another request may look for."""
    least = 1 << 62
    for row in rows:
        request = requests[row]
        if request.filled < request.sought:
            least = min(least, (request.filled + 1) * size - 1 - request.computed)
    return least


@compiled
def _need(requests: Records, rows: Ints, steps: int, size: int) -> int:
    """Blocks that so many more tokens of each request take."""
    need = 0
    for row in rows:
        request = requests[row]
        over = request.computed + steps - request.capacity
        if over > 0:
            need += (over + size - 1) // size
    return need


@compiled
def _repeat(
    requests: Records, rows: Ints, replica: Record, steps: int, size: int
) -> None:
    """Requests take so many steps, for which the memory is taken."""
    for row in rows:
        request = requests[row]
        request.computed += steps
        request.generated += steps
        request.goal += steps
        request.last_token_ps = replica.now_ps
        request.lags = replica.decides_ps < replica.now_ps
        request.longest_gap_ps = max(request.longest_gap_ps, replica.step_ps)
        over = request.computed - request.capacity
        if over > 0:
            request.capacity += (over + size - 1) // size * size
