"""One step of one engine, request by request, as ``reference.py`` takes it."""

from evaluators.sim.compiled.jit import compiled
from evaluators.sim.compiled.log import note_decision, note_gap, note_steps
from evaluators.sim.compiled.state import (
    Durations,
    Limits,
    Log,
    Pace,
    Record,
    State,
)


@compiled
def submit(state: State, index: int, row: int, at_ps: int) -> None:
    """A request is at a replica from ``at_ps`` on."""
    replica, request = state.replicas[index], state.requests[row]
    request.arrived_ps, request.replica = at_ps, index
    if replica.n_running == 0 and replica.first_waiting < 0:
        replica.now_ps = max(replica.now_ps, at_ps)
    if replica.first_waiting < 0:
        replica.first_waiting = row
        replica.is_steady = 0
    else:
        state.requests[replica.last_waiting].next_waiting = row
    replica.last_waiting = row
    replica.outstanding += 1


@compiled
def take_step(state: State, index: int) -> None:
    """Serve running requests, then waiting ones, and let the time of it pass."""
    replica = state.replicas[index]
    replica.prefill_tokens = replica.prefill_work = replica.decodes = 0
    replica.context_tokens = replica.longest_context = 0
    left = _serve_running(state, index)
    if left > 0 and replica.first_waiting >= 0:
        _admit(state, index, left)
    pace = Pace(1, duration_ps(state.durations, replica), 0)
    n_finished, gaps, emitted = _emit(state, index, replica.now_ps + pace.first_ps)
    note_steps(state.log, index, replica, gaps, pace)
    replica.now_ps += pace.first_ps
    replica.finished_now = n_finished
    replica.outstanding -= n_finished
    replica.steps_left -= 1
    replica.barren_steps = 0 if emitted else replica.barren_steps + 1
    steady = left >= 0 and n_finished == 0 and gaps == replica.n_running
    replica.is_steady = steady


@compiled
def duration_ps(durations: Durations, replica: Record) -> int:
    """Picoseconds of the step that the replica has granted tokens for."""
    tokens, decodes = replica.prefill_tokens, replica.decodes
    duration: int = (
        durations.tokens_ps[tokens + decodes]
        + durations.decodes_ps[decodes]
        + durations.token_ps * tokens
        + durations.work_ps * replica.prefill_work
        + durations.context_ps[decodes] * replica.context_tokens
        + durations.longest_ps * replica.longest_context
    )
    return max(1, duration)


@compiled
def _serve_running(state: State, index: int) -> int:
    """Tokens left of the step; -1 when somebody was preempted."""
    replica, order = state.replicas[index], state.running[index]
    left, at, preempted = state.limits.max_step_tokens, 0, False
    while at < replica.n_running and left > 0:
        request = state.requests[order[at]]
        want = min(request.goal - request.computed, left)
        while not _grant(replica, request, want, state.limits):
            preempted = True
            replica.n_running -= 1
            _preempt(state, index, order[replica.n_running])
            if replica.n_running == at:
                return -1
        left -= want
        at += 1
    return -1 if preempted else left


@compiled
def _grant(replica: Record, request: Record, want: int, limits: Limits) -> bool:
    """Take the memory of so many tokens, if it is free, and count them in."""
    over = request.computed + want - request.capacity
    if over > 0:
        blocks = (over + limits.block_tokens - 1) // limits.block_tokens
        if blocks > replica.free:
            return False
        replica.free -= blocks
        replica.least_free = min(replica.least_free, replica.free)
        request.capacity += blocks * limits.block_tokens
    request.granted = want
    if request.decoding:
        replica.decodes += 1
        replica.context_tokens += request.computed + 1
        replica.longest_context = max(replica.longest_context, request.computed + 1)
    else:
        replica.prefill_tokens += want
        replica.prefill_work += want * (want + 2 * request.computed)
    return True


@compiled
def _admit(state: State, index: int, left: int) -> None:
    """Let waiting requests run until one does not fit."""
    replica, order, limits = state.replicas[index], state.running[index], state.limits
    while replica.first_waiting >= 0 and left > 0:
        row = replica.first_waiting
        request = state.requests[row]
        whole = (request.goal + limits.block_tokens - 1) // limits.block_tokens
        if limits.reserves_prompt and whole > replica.free:
            return
        want = min(request.goal, left)
        full = replica.n_running == limits.max_running
        if full or not _grant(replica, request, want, limits):
            return
        replica.first_waiting = request.next_waiting
        request.next_waiting = -1
        order[replica.n_running] = row
        replica.n_running += 1
        left -= want
        if request.admitted_ps < 0:
            request.admitted_ps = replica.now_ps
        note_decision(state.log, (replica.now_ps, row, 1, index))


@compiled
def _preempt(state: State, index: int, row: int) -> None:
    """Free the memory of a request, which waits in front of all others."""
    replica, request = state.replicas[index], state.requests[row]
    replica.free += request.capacity // state.limits.block_tokens
    request.computed = request.capacity = request.decoding = 0
    request.preemptions += 1
    request.next_waiting = replica.first_waiting
    if replica.first_waiting < 0:
        replica.last_waiting = row
    replica.first_waiting = row
    note_decision(state.log, (replica.now_ps, row, 0, index))


@compiled
def _emit(state: State, index: int, now_ps: int) -> tuple[int, int, int]:
    """Tokens at the end of a step; how many finished, came a step apart, and in all."""
    replica, order = state.replicas[index], state.running[index]
    kept = gaps = emitted = finished = 0
    for at in range(replica.n_running):
        row = order[at]
        order[kept] = row
        kept += 1
        request = state.requests[row]
        request.computed += request.granted
        request.granted = 0
        if request.computed < request.goal:
            continue
        emitted += 1
        gaps += _token(state.log, request, replica.now_ps, now_ps)
        if request.generated == request.output:
            request.finished_ps = now_ps
            replica.free += request.capacity // state.limits.block_tokens
            kept -= 1
            finished += 1
    replica.n_running = kept
    return finished, gaps, emitted


@compiled
def _token(log: Log, request: Record, start_ps: int, now_ps: int) -> int:
    """One token of a request; 1 if the one before came a step ago."""
    gap_ps, whole = now_ps - request.last_token_ps, 0
    if request.last_token_ps < 0:
        request.first_token_ps = now_ps
    else:
        request.longest_gap_ps = max(request.longest_gap_ps, gap_ps)
        if request.decoding and request.last_token_ps == start_ps:
            whole = 1
        else:
            request.stall_ps += gap_ps
            note_gap(log, gap_ps)
    request.last_token_ps = now_ps
    request.decoding = 1
    request.generated += 1
    request.goal += 1
    return whole
