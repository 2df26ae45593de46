"""Lets the plain engine skip decode-only steps that are all alike, as plans allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluators.calibration.step_time import Batch, steps_to_edge
from evaluators.sim.clock import steps_to_cover, total_ps
from evaluators.sim.plain.request import Request, batch

if TYPE_CHECKING:
    from evaluators.sim.plain.stepwise import PlainEngine


def skip_equal_steps(engine: PlainEngine, work: list[tuple[Request, int]]) -> None:
    """Take every step but the last of those that must all do the same ``work``.

    Such steps give one token to each request that had one in the step before, up to the
    first finish, arrival, timed question or shortage of memory. The memory of the first
    of them is taken already; that of the last one is, when this returns.
    """
    requests = [request for request, _ in work]
    now = engine.now_ps
    steady = all(r.decoding and r.last_token_ps == now for r in requests)
    if engine.dirty or not steady or not engine.may_skip():
        return
    first, growth = _durations(engine, batch(work))
    steps = _steps_on_a_line(engine, requests)
    until = engine.next_event_ps()
    if until is not None:
        steps = min(steps, steps_to_cover(until - now, first, growth))
    blocks = engine.blocks
    need = sum(blocks(r.computed + steps) - blocks(r.computed + 1) for r in requests)
    if steps < 2 or need > engine.free:
        return
    engine.grow_alike(requests, steps)
    engine.free -= need
    engine.least_free = min(engine.least_free, engine.free)
    skipped, n = steps - 1, len(requests)
    engine.now_ps += total_ps(skipped, first, growth)
    engine.last_step_ps = first + growth * (skipped - 1)
    engine.record.steps.extend((now, skipped, first, growth, n, n, 0))
    engine.progress.spend(skipped, n)
    _emit(engine, requests, skipped)


def _emit(engine: PlainEngine, requests: list[Request], steps: int) -> None:
    longest = engine.ledger.longest_gap_ps
    for request in requests:
        request.repeat(steps, engine.now_ps)
        engine.served[1][request.tenant] += steps
        longest[request.row] = max(longest[request.row], engine.last_step_ps)


def _steps_on_a_line(engine: PlainEngine, requests: list[Request]) -> int:
    """Steps up to the first finish or to an edge of the contexts."""
    steps = min(r.output - r.generated for r in requests)
    context = sum(r.computed + 1 for r in requests)
    knots = engine.scenario.step_time.context_knots
    edge = steps_to_edge(knots, len(requests), context)
    return steps if edge is None else min(steps, edge)


def _durations(engine: PlainEngine, step: Batch) -> tuple[int, int]:
    """Duration of the first of equal steps, and by how much each later one grows."""
    later = step._replace(
        context_tokens=step.context_tokens + step.decodes,
        longest_context=step.longest_context + 1,
    )
    first = engine.scenario.step_time.duration_ps(step)
    return first, engine.scenario.step_time.duration_ps(later) - first
