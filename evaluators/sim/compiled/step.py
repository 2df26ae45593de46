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
        replica.now_ps = replica.decides_ps = max(replica.now_ps, at_ps)
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
    replica, ahead = state.replicas[index], state.limits.decides_ahead
    left = _decide(state, index)
    n_ended = _release_ended(state, index) if ahead else 0
    if replica.prefill_tokens + replica.decodes == 0:
        replica.decides_ps, replica.is_steady = replica.now_ps, 0
        return
    pace = Pace(1, duration_ps(state.durations, replica), 0)
    n_finished, gaps, emitted = _emit(state, index, replica.now_ps + pace.first_ps)
    note_steps(state.log, index, replica, gaps, pace)
    replica.decides_ps = replica.now_ps + (0 if ahead else pace.first_ps)
    replica.now_ps += pace.first_ps
    replica.finished_now = n_finished
    replica.outstanding -= n_finished
    replica.steps_left -= 1
    replica.barren_steps = 0 if emitted else replica.barren_steps + 1
    steady = left >= 0 and n_finished + n_ended == 0 and gaps == replica.n_running
    finds = state.limits.reserves_prompt or replica.n_copies == 0
    replica.is_steady = steady and (finds or replica.first_waiting < 0)


@compiled
def _decide(state: State, index: int) -> int:
    """Form the next step; tokens left of it, -1 when somebody was preempted."""
    replica = state.replicas[index]
    replica.prefill_tokens = replica.prefill_work = replica.decodes = 0
    replica.context_tokens = replica.longest_context = 0
    replica.prefills = replica.prefill_context = 0
    left: int = _serve_running(state, index)
    if left > 0:
        _serve_waiting(state, index, left)
    return left


@compiled
def _serve_running(state: State, index: int) -> int:
    """Tokens left of the step; -1 when somebody was preempted."""
    replica, order = state.replicas[index], state.running[index]
    requests, caches = state.requests, state.limits.caches
    left, at, n_before = state.limits.max_step_tokens, 0, replica.n_running
    while at < replica.n_running and left > 0:
        request = requests[order[at]]
        want = min(request.goal - request.computed, left)
        if request.lingers:
            at += 1
            continue
        total = request.computed + want
        if total > request.capacity and not _make_room(state, index, at, total):
            return -1
        _grant(replica, request, want)
        request.lags = _comes_late(replica, request)
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
def _comes_late(replica: Record, request: Record) -> int:
    """Whether its last step has given the request a token and has not ended."""
    coming = replica.decides_ps < replica.now_ps and request.decoding
    return int(coming and request.last_token_ps == replica.now_ps)


@compiled
def _release_ended(state: State, index: int) -> int:
    """Who has had the last token lets go of its place and memory; says how many."""
    replica, order, kept = state.replicas[index], state.running[index], 0
    for at in range(replica.n_running):
        row = order[at]
        if state.requests[row].lingers:
            state.requests[row].lingers = 0
            let_go(state, index, row)
            continue
        order[kept] = row
        kept += 1
    ended: int = replica.n_running - kept
    replica.n_running = kept
    return ended


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
            request.admitted_ps = replica.decides_ps
        note_event(state.log, (replica.decides_ps, row, ADMIT, index))


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
    request.lags = 0
    _grant(replica, request, want)
    if limits.caches:
        fill(state, index, row, done + want)
    return want


@compiled
def _preempt(state: State, index: int, row: int) -> None:
    """Free the memory of a request, which waits in front of all others."""
    replica, request = state.replicas[index], state.requests[row]
    request.computed -= request.lags and _comes_late(replica, request)
    let_go(state, index, row)
    request.computed = request.decoding = 0
    request.preemptions += 1
    note_event(state.log, (replica.decides_ps, row, PREEMPT, index))
    if request.lingers:
        request.lingers, request.outlived = 0, 1
        return
    request.next_waiting = replica.first_waiting
    if replica.first_waiting < 0:
        replica.last_waiting = row
    replica.first_waiting = row


@compiled
def _emit(state: State, index: int, now_ps: int) -> tuple[int, int, int]:
    """Tokens at the end of a step; how many finished, came a step apart, and in all."""
    replica, order = state.replicas[index], state.running[index]
    requests, step_ps = state.requests, now_ps - replica.now_ps
    kept = gaps = emitted = finished = 0
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
        follows_ps = step_ps if request.decoding else -1
        gaps += _gap(state, index, row, (_token(request, now_ps), follows_ps))
        if request.generated == request.output:
            finished += 1
            kept -= _finish(state, index, row, now_ps)
    replica.n_running = kept
    return finished, gaps, emitted


@compiled
def _gap(state: State, index: int, row: int, gap_ps: tuple[int, int]) -> int:
    """Note how long after the one before a token came; 1 if it was a step, no more.

    ``gap_ps`` are that time, 0 for the first token, and how long a step takes, -1 for
    who had to compute its prompt again.
    """
    own_ps, step_ps = gap_ps
    if own_ps > 0 and own_ps != step_ps:
        state.requests[row].stall_ps += own_ps
        note_event(state.log, (own_ps, row, GAP, index))
    return int(own_ps == step_ps)


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
def _finish(state: State, index: int, row: int, now_ps: int) -> int:
    """A request has all its tokens; those that follow it will come.

    Returns 1 if it leaves at once.
    """
    request, ahead = state.requests[row], state.limits.decides_ahead
    request.finished_ps = now_ps
    follower = request.first_follower
    while follower >= 0:
        push(state.arrivals, now_ps + state.requests[follower].wait_ps, follower)
        follower = state.requests[follower].next_follower
    if ahead:
        request.lingers = 1
        return 0
    let_go(state, index, row)
    return 1
