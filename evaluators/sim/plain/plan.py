"""Level 2: a policy's whole plan, who computes how many tokens in each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evaluators.sim.plain.forming import PlainForming
    from evaluators.sim.plain.request import Request


def ask(engine: PlainForming) -> None:
    """Ask for a plan, write its grants to the requests, preempt whom it preempts."""
    engine.waiting.sort(key=lambda request: (request.arrived_ps, request.row))
    rows = [request.row for request in engine.waiting]
    waiting = engine.panel.waiting(rows)
    plan = engine.policy.plan(waiting, engine.running_view(), engine.engine_view())
    for request, grant in zip(engine.waiting, plan.waiting.tolist(), strict=True):
        request.grant = grant
    losers = []
    for request, grant in zip(engine.running, plan.running.tolist(), strict=True):
        request.grant = grant
        if grant < 0:
            losers.append(request)
    for request in losers:
        engine.running.remove(request)
        engine.preempt(request)
        request.grant = 0


def form(engine: PlainForming) -> list[tuple[Request, int]]:
    """Who computes how many tokens in the next step, by the standing plan."""
    wants = {id(r): min(r.goal - r.computed, r.grant) for r in engine.running}
    most = engine.scenario.deployment
    work, budget, preempted = engine.serve_running(wants, most.max_step_tokens)
    for request in () if preempted else tuple(engine.waiting):
        if request.grant <= 0:
            continue
        if budget <= 0 or len(engine.running) >= most.max_running:
            break
        want = engine.admit(request, request.grant, budget)
        if want is not None:
            engine.waiting.remove(request)
            budget -= want
            if want:
                work.append((request, want))
    return work
