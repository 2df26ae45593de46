"""What must hold of every simulation, whatever the policy: checked in each evaluation.

A broken law is a bug of the simulator, never a policy's failure.
"""

from collections.abc import Iterator

import numpy as np

from evaluators.scenario import Deployment, Scenario
from evaluators.sim.run import Run
from evaluators.views import Ints

Verdicts = Iterator[tuple[str, bool]]


class LawBrokenError(Exception):
    """A simulation contradicts itself; its numbers must not be used."""


def check(scenario: Scenario, run: Run) -> None:
    """Raise ``LawBrokenError`` naming every law that ``run`` breaks."""
    verdicts = (
        *_requests(scenario, run),
        *_tokens(scenario, run),
        *_clock(run),
        *_memory(scenario, run),
        *_decisions(scenario, run),
        *_copies(run),
    )
    broken = [law for law, holds in verdicts if not holds]
    if broken:
        raise LawBrokenError(f"scenario {scenario.name}: {'; '.join(broken)}")


def _requests(scenario: Scenario, run: Run) -> Verdicts:
    done = run.finished_ps >= 0
    rejected = np.zeros(len(done), dtype=bool)
    rejected[list(run.rejected)] = True
    arrived = run.arrived_ps[done]
    admitted, first = run.admitted_ps[done], run.first_token_ps[done]
    last, gap = run.finished_ps[done], run.longest_gap_ps[done]
    many = scenario.trace.output_tokens[done] > 1
    yield (
        "every request finishes or is rejected, exactly once",
        bool((done != rejected).all() and len(set(run.rejected)) == len(run.rejected)),
    )
    due = _due_ps(scenario, run)[done]
    yield "every request arrives when it is due", bool((arrived == due).all())
    yield "no request is admitted before it arrives", bool((admitted >= arrived).all())
    yield "the first token comes after admission", bool((first > admitted).all())
    yield (
        "a request ends with its last token",
        bool((last[many] > first[many]).all() and (last == first)[~many].all()),
    )
    yield (
        "the longest gap is part of the time between first and last token",
        bool(((gap > 0) == many).all() and (gap <= last - first).all()),
    )


def _due_ps(scenario: Scenario, run: Run) -> Ints:
    due, sessions = scenario.trace.arrived_ps, scenario.trace.sessions
    if sessions is None:
        return due
    ended = run.finished_ps[sessions.after] + sessions.wait_ps
    return np.where(sessions.after >= 0, ended, due)


def _tokens(scenario: Scenario, run: Run) -> Verdicts:
    done = run.finished_ps >= 0
    trace, steps = scenario.trace, run.steps
    emitted = int((steps.gaps * steps.count).sum())
    emitted += int(done.sum()) + len(run.broken_gaps_ps)
    wanted = int(trace.output_tokens[done].sum())
    cut_short = bool((run.first_token_ps[~done] >= 0).any())
    yield (
        "tokens out equal tokens asked",
        emitted >= wanted if cut_short else emitted == wanted,
    )
    computed = int((steps.prefill_tokens * steps.count).sum())
    asked = int(trace.prompt_tokens[done].sum())
    computed += int(run.hit_tokens.sum())
    spared = run.copies.swaps - run.copies.lost if run.copies else 0
    spared += len(run.outlived)
    recomputed = int(run.preemptions.sum()) > spared
    yield (
        "every prompt is computed or found, and only preemption does so again",
        computed > asked
        if recomputed and not _loses(scenario)
        else computed == asked or (recomputed and computed >= asked),
    )
    engines = _deployments(scenario)
    most_tokens = max(engine.max_step_tokens for engine in engines)
    most_running = max(engine.max_running for engine in engines)
    yield (
        "no step computes more than it may",
        bool((steps.prefill_tokens + steps.decodes <= most_tokens).all()),
    )
    yield "no more decode than may run", bool((steps.decodes <= most_running).all())


def _loses(scenario: Scenario) -> bool:
    """Whether a replica is lost: a request may lose its place and no computed token."""
    return scenario.fleet is not None and bool(scenario.fleet.losses)


def _deployments(scenario: Scenario) -> list[Deployment]:
    if scenario.fleet is None:
        return [scenario.deployment]
    return [member.deployment for member in scenario.fleet.members]


def _clock(run: Run) -> Verdicts:
    for steps in run.steps_of or (run.steps,):
        n = steps.count
        last = steps.growth_ps * (n * (n - 1) // 2)
        ends = steps.start_ps + n * steps.first_ps + last
        yield "steps do not overlap", bool((steps.start_ps[1:] >= ends[:-1]).all())
        yield (
            "every step takes time",
            bool((n >= 1).all() and (steps.first_ps >= 1).all()),
        )


def _memory(scenario: Scenario, run: Run) -> Verdicts:
    most = max(engine.kv_blocks for engine in _deployments(scenario))
    within = 0 <= run.peak_blocks <= most
    yield "memory is never negative nor over capacity", within
    yield "all memory is free at the end", run.end_blocks == 0


def _decisions(scenario: Scenario, run: Run) -> Verdicts:
    rows = len(scenario.trace)
    admits, preempts = (
        np.bincount([d.row for d in run.decisions if d.kind == kind], minlength=rows)
        for kind in ("admit", "preempt")
    )
    done = run.finished_ps >= 0
    done[list(run.outlived)] = False
    yield (
        "a request is admitted once, and once more after each preemption",
        bool((admits == preempts + done).all()),
    )
    yield "preemptions are counted", bool((preempts == run.preemptions).all())


def _copies(run: Run) -> Verdicts:
    if run.copies:
        yield "copies keep to their link and to host memory", run.copies.kept_laws
        yield "all host memory is free at the end", run.copies.end_blocks == 0
