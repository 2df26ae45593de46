"""A scenario and a policy as JSON, so that another interpreter can serve them."""

from dataclasses import asdict
from typing import Any, NamedTuple, TypeVar

from evaluators.calibration.step_time import StepTime
from evaluators.scenario import Deployment, Scenario, ServiceClass
from evaluators.workloads.prefixes import Prefixes, Priorities, Sessions
from evaluators.workloads.trace import COLUMNS, Trace

Json = dict[str, Any]
Made = TypeVar("Made")


class Job(NamedTuple):
    """What is to be served: a scenario, and the texts of policies ("" for none)."""

    scenario: Scenario
    policy: str
    eviction: str = ""


def to_json(job: Job) -> Json:
    """Plain lists and numbers, exact: everything is an integer or a double."""
    scenario, trace = job.scenario, job.scenario.trace
    return {
        "policy": job.policy,
        "eviction": job.eviction,
        "name": scenario.name,
        "columns": {name: getattr(trace, name).tolist() for name in COLUMNS},
        "prefixes": _columns(trace.prefixes, ("offsets", "ids"), "block_tokens"),
        "sessions": _columns(trace.sessions, ("after", "wait_ps", "is_tool")),
        "priorities": _columns(trace.priorities, ("levels",), "period_ps"),
        "deployment": asdict(scenario.deployment),
        "step_time": asdict(scenario.step_time),
        "classes": [asdict(one) for one in scenario.classes],
        "prediction_error": scenario.prediction_error,
        "n_tenants": scenario.n_tenants,
    }


def from_json(message: Json) -> Job:
    """Inverse of ``to_json``."""
    trace = Trace(
        **message["columns"],
        prefixes=_made(Prefixes, message["prefixes"]),
        sessions=_made(Sessions, message["sessions"]),
        priorities=_made(Priorities, message["priorities"]),
    )
    scenario = Scenario(
        name=message["name"],
        split="train",
        regime=1.0,
        trace=trace,
        deployment=Deployment(**message["deployment"]),
        step_time=StepTime(**{k: _tuple(v) for k, v in message["step_time"].items()}),
        classes=tuple(ServiceClass(**one) for one in message["classes"]),
        calibration="made up",
        prediction_error=message["prediction_error"],
        n_tenants=message["n_tenants"],
    )
    return Job(scenario, message["policy"], message["eviction"])


def _tuple(value: object) -> object:
    """Lists within lists as tuples."""
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def _made(kind: type[Made], columns: Json | None) -> Made | None:
    return None if columns is None else kind(**columns)


def _columns(table: object, arrays: tuple[str, ...], *numbers: str) -> Json | None:
    if table is None:
        return None
    lists = {name: getattr(table, name).tolist() for name in arrays}
    return lists | {name: getattr(table, name) for name in numbers}
