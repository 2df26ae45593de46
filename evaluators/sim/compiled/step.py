"""One step of one engine, request by request, as ``plain/engine.py`` takes it."""

from evaluators.sim.compiled.arrivals import push
from evaluators.sim.compiled.blocks import let_go, take_blocks
from evaluators.sim.compiled.cache import fill, find_prefix, hold_prefix
from evaluators.sim.compiled.durations import duration_ps
from evaluators.sim.compiled.jit import compiled
from evaluators.sim.compiled.log import note_event, note_steps
from evaluators.sim.compiled.state import (
    ADMIT,
    GAP,
    PREEMPT,
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
    replica.prefills = replica.prefill_context = 0
    left = _serve_running(state, index)
    if left > 0:
        _serve_waiting(state, index, left)
    pace = Pace(1, duration_ps(state.durations, replica), 0)
    n_finished, gaps, emitted = _emit(state, index, replica.now_ps + pace.first_ps)
    note_steps(state.log, index, replica, gaps, pace)
    replica.now_ps += pace.first_ps
    replica.finished_now = n_finished
    replica.outstanding -= n_finished
    replica.steps_left -= 1
    replica.barren_steps = 0 if emitted else replica.barren_steps + 1
    steady = left >= 0 and n_finished == 0 and gaps == replica.n_running
    finds = state.limits.reserves_prompt or replica.n_copies == 0
    replica.is_steady = steady and (finds or replica.first_waiting < 0)


@compiled
def _serve_running(state: State, index: int) -> int:
    """Tokens left of the step; -1 when somebody was preempted."""
    replica, order = state.replicas[index], state.running[index]
    requests, caches = state.requests, state.limits.caches
    left, at, n_before = state.limits.max_step_tokens, 0, replica.n_running
    while at < replica.n_running and left > 0:
        request = requests[order[at]]
        want = min(request.goal - request.computed, left)
        total = request.computed + want
        if total > request.capacity and not _make_room(state, index, at, total):
            return -1
        _grant(replica, request, want)
        if caches and (not request.decoding or request.filled < request.sought):
            fill(state, index, order[at], total)
        left -= want
        at += 1
    return left if replica.n_running == n_before else -1


@compiled
def _make_room(state: State, index: int, at: int, total: int) -> bool:
    """Take the memory of so many tokens for the request at a place of running order.

    Requests are preempted from the end of that order; False if it comes to itself.
    """
    replica, order = state.replicas[index], state.running[index]
    request, size = state.requests[order[at]], state.limits.block_tokens
    n_blocks = (total - request.capacity + size - 1) // size
    while n_blocks > replica.free:
        replica.n_running -= 1
        _preempt(state, index, order[replica.n_running])
        if replica.n_running == at:
            return False
    take_blocks(state, index, n_blocks)
    request.capacity += n_blocks * size
    return True


@compiled
def _grant(replica: Record, request: Record, want: int) -> None:
    """Count so many tokens in, whose memory is taken."""
    request.granted, total = want, request.computed + want
    if request.decoding:
        replica.decodes += 1
        replica.context_tokens += total
        replica.longest_context = max(replica.longest_context, total)
    else:
        replica.prefill_tokens += want
        replica.prefill_work += want * (total + request.computed)
        replica.prefills += 1
        replica.prefill_context += total


@compiled
def _serve_waiting(state: State, index: int, left: int) -> None:
    """Let waiting requests run until one does not fit; ``left`` tokens are left."""
    replica, max_running = state.replicas[index], state.limits.max_running
    while replica.first_waiting >= 0 and left > 0 and replica.n_running < max_running:
        row = replica.first_waiting
        want = _admit(state, index, row, left)
        if want == 0:
            return
        request = state.requests[row]
        replica.first_waiting, request.next_waiting = request.next_waiting, -1
        state.running[index, replica.n_running] = row
        replica.n_running += 1
        left -= want
        if request.admitted_ps < 0:
            request.admitted_ps = replica.now_ps
        note_event(state.log, (replica.now_ps, row, ADMIT, index))


@compiled
def _admit(state: State, index: int, row: int, left: int) -> int:
    """Tokens that the first who waits computes at once; 0 if it does not fit."""
    replica, request, limits = state.replicas[index], state.requests[row], state.limits
    hit, idle = find_prefix(state, index, row) if limits.caches else (0, 0)
    done = hit * limits.block_tokens
    want: int = min(request.goal - done, left)
    total = request.goal if limits.reserves_prompt else done + want
    n_blocks = (total + limits.block_tokens - 1) // limits.block_tokens
    if n_blocks - hit + idle > replica.free:
        return 0
    if limits.caches:
        hold_prefix(state, index, row, hit)
        request.hit_tokens += done
    n_blocks = (done + want + limits.block_tokens - 1) // limits.block_tokens
    take_blocks(state, index, n_blocks - hit)
    request.computed, request.capacity = done, n_blocks * limits.block_tokens
    _grant(replica, request, want)
    if limits.caches:
        fill(state, index, row, done + want)
    return want


@compiled
def _preempt(state: State, index: int, row: int) -> None:
    """Free the memory of a request, which waits in front of all others."""
    replica, request = state.replicas[index], state.requests[row]
    let_go(state, index, row)
    request.computed = request.decoding = 0
    request.preemptions += 1
    request.next_waiting = replica.first_waiting
    if replica.first_waiting < 0:
        replica.last_waiting = row
    replica.first_waiting = row
    note_event(state.log, (replica.now_ps, row, PREEMPT, index))


@compiled
def _emit(state: State, index: int, now_ps: int) -> tuple[int, int, int]:
    """Tokens at the end of a step; how many finished, came a step apart, and in all."""
    replica, order = state.replicas[index], state.running[index]
    requests, start_ps = state.requests, replica.now_ps
    kept = gaps = emitted = 0
    for at in range(replica.n_running):
        row = order[at]
        order[kept] = row
        kept += 1
        request = requests[row]
        request.computed += request.granted
        request.granted = 0
        if request.computed < request.goal:
            continue
        emitted += 1
        gap_ps = _token(request, now_ps)
        if gap_ps == now_ps - start_ps:
            gaps += 1
        elif gap_ps > 0:
            request.stall_ps += gap_ps
            note_event(state.log, (gap_ps, row, GAP, index))
        if request.generated == request.output:
            _finish(state, index, row, now_ps)
            kept -= 1
    finished = replica.n_running - kept
    replica.n_running = kept
    return finished, gaps, emitted


@compiled
def _token(request: Record, now_ps: int) -> int:
    """One token of a request; returns how long after the one before, 0 if the first."""
    gap_ps: int = now_ps - request.last_token_ps
    if request.last_token_ps < 0:
        gap_ps, request.first_token_ps = 0, now_ps
    request.longest_gap_ps = max(request.longest_gap_ps, gap_ps)
    request.last_token_ps = now_ps
    request.decoding = 1
    request.generated += 1
    request.goal += 1
    return gap_ps


@compiled
def _finish(state: State, index: int, row: int, now_ps: int) -> None:
    """A request has all its tokens; those that follow it will come."""
    request = state.requests[row]
    request.finished_ps = now_ps
    let_go(state, index, row)
    follower = request.first_follower
    while follower >= 0:
        push(state.arrivals, now_ps + state.requests[follower].wait_ps, follower)
        follower = state.requests[follower].next_follower
