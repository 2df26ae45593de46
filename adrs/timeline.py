"""A simulation as a timeline that ui.perfetto.dev opens (Chrome trace-event JSON).

One track a request: queued, prefill, decode, preempted. Each engine's steps are
counters. Times are microseconds of simulated time.
"""

import json
from collections.abc import Iterator
from typing import Any

from evaluators.scenario import Scenario
from evaluators.sim.run import Run, Steps

PS_PER_US = 1e6
REQUESTS, ENGINE = 1, 2
"""Process numbers; engines of a fleet count on from ``ENGINE``."""


def render(scenario: Scenario, run: Run) -> str:
    """The timeline's JSON text."""
    events = [_name("process_name", REQUESTS, 0, f"requests of {scenario.name}")]
    for number, steps in enumerate(run.steps_of or (run.steps,)):
        title = _engine_title(scenario, number)
        events.append(_name("process_name", ENGINE + number, 0, title))
        events += _counters(steps, ENGINE + number)
    events += _tracks(scenario, run)
    return json.dumps({"displayTimeUnit": "ms", "traceEvents": events}, indent=None)


def _engine_title(scenario: Scenario, number: int) -> str:
    if scenario.fleet is None:
        return f"engine {scenario.deployment.name}"
    member = scenario.fleet.members[number]
    return f"replica {number}, {member.role}, {member.deployment.name}"


def _counters(steps: Steps, engine: int) -> Iterator[dict[str, Any]]:
    """Each counter whenever it changes; zero while the engine is idle."""
    shown: dict[str, float] = {}
    for at_ps, values in _levels(steps):
        for name, value in values.items():
            if shown.get(name) != value:
                shown[name] = value
                yield {
                    "name": name,
                    "ph": "C",
                    "pid": engine,
                    "ts": at_ps / PS_PER_US,
                    "args": {name: value},
                }


def _levels(steps: Steps) -> Iterator[tuple[int, dict[str, float]]]:
    """When a run of steps, or a pause between two, starts, and its counters."""
    idle = dict.fromkeys(("decoding requests", "prefill tokens", "step ms"), 0.0)
    columns = (
        steps.start_ps,
        steps.count,
        steps.first_ps,
        steps.growth_ps,
        steps.decodes,
        steps.prefill_tokens,
    )
    end_ps = 0
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for start_ps, count, first_ps, growth_ps, decodes, prefill in rows:
        if start_ps > end_ps:
            yield end_ps, idle
        values = (decodes, prefill, round(first_ps / 1e9, 2))
        yield start_ps, dict(zip(idle, values, strict=True))
        end_ps = start_ps + count * first_ps + growth_ps * (count * (count - 1) // 2)
    yield end_ps, idle


def _tracks(scenario: Scenario, run: Run) -> Iterator[dict[str, Any]]:
    trace = scenario.trace
    moves: list[list[tuple[int, str]]] = [[] for _ in range(len(trace))]
    for decision in run.decisions:
        moves[decision.row].append((decision.at_ps, decision.kind))
    for row in range(len(trace)):
        prompt, output = int(trace.prompt_tokens[row]), int(trace.output_tokens[row])
        title = f"{row}: {prompt} in, {output} out, tenant {int(trace.tenant[row])}"
        if run.replica is not None and run.replica[row] >= 0:
            title += f", replica {int(run.replica[row])}"
        yield _name("thread_name", REQUESTS, row, title)
        yield from _spans(row, scenario, run, moves[row])


def _spans(
    row: int, scenario: Scenario, run: Run, moves: list[tuple[int, str]]
) -> Iterator[dict[str, Any]]:
    """Where the request was, from its arrival to its end."""
    points = [(int(run.arrived_ps[row]), "queued")]
    first_ps, end_ps = int(run.first_token_ps[row]), int(run.finished_ps[row])
    if first_ps >= 0:
        points.append((first_ps, "decode"))
    points += [(at, "preempted" if kind == "preempt" else "") for at, kind in moves]
    points.sort(key=lambda point: point[0])  # stable: a token, then its preemption
    if end_ps < 0:
        end_ps = points[-1][0]
    ends = [at for at, _ in points[1:]] + [end_ps]
    for (start_ps, where), until_ps in zip(points, ends, strict=True):
        if until_ps > start_ps:
            name = where or ("decode" if 0 <= first_ps <= start_ps else "prefill")
            yield _span(row, name, start_ps, until_ps)


def _span(row: int, name: str, start_ps: int, end_ps: int) -> dict[str, Any]:
    return {
        "name": name,
        "ph": "X",
        "pid": REQUESTS,
        "tid": row,
        "ts": start_ps / PS_PER_US,
        "dur": (end_ps - start_ps) / PS_PER_US,
    }


def _name(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {
        "name": kind,
        "ph": "M",
        "pid": process,
        "tid": thread,
        "args": {"name": name},
    }
