"""The exams that a configuration describes: what is served, by what, at which loads."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from adrs.companions import Companion, companions
from adrs.workloads import configured
from evaluators.calibration.calibration import load as load_calibration
from evaluators.calibration.copy_curve import load_curve
from evaluators.capacity import stored_capacity_per_s
from evaluators.fleet import Fleet, Member
from evaluators.host_memory import host_memory
from evaluators.problem import Exam, Problem
from evaluators.problems import load as load_problem
from evaluators.scenario import Deployment, Scenario, Split
from evaluators.splits import Plan, Service, draw_split
from evaluators.workloads.workload import Workload

SPLITS: tuple[Split, ...] = ("train", "validation", "held_out")


class Configured(Protocol):
    """The sections of a configuration that say what is sat."""

    problem: Mapping[str, Any]
    workload: Mapping[str, Any]
    deployment: Mapping[str, Any]
    companions: Mapping[str, str | None]
    data: str | None


class Sitting(NamedTuple):
    """A problem and the place where its policies are examined.

    ``seeds`` says how many scenarios of each split are drawn at each of ``regimes``;
    ``companions`` decide what the judged policy does not, by their problem. The
    ``secret`` keys the draws that no policy may foresee, as in ``draw_split``.
    """

    problem: Problem
    workload: Workload
    service: Service
    n_requests: int
    regimes: tuple[float, ...]
    seeds: Mapping[Split, int]
    capacity_per_s: float
    companions: Mapping[str, Companion]
    secret: bytes


def sitting(settings: Configured, capacities: Path, secret: bytes = b"") -> Sitting:
    """What a configuration describes.

    The capacity that loads are relative to is looked up, or searched once and kept in
    the file ``capacities``. Raises ``ValueError`` or ``OSError`` with one line.
    """
    problem = settings.problem
    beside = companions(settings.companions, problem["name"])
    built = configured(settings.workload, settings.data)
    serves = service(settings.deployment, problem)
    n_requests = problem["n_requests"]
    return Sitting(
        load_problem(problem["name"]),
        built,
        serves,
        n_requests,
        tuple(float(regime) for regime in problem["regimes"]),
        {
            "train": problem["train_seeds"],
            "validation": problem["validation_seeds"],
            "held_out": problem["held_out_seeds"],
        },
        stored_capacity_per_s(built, serves, n_requests, capacities),
        beside,
        secret,
    )


def scenarios(at: Sitting, split: Split) -> tuple[Scenario, ...]:
    """The scenarios of a split, every regime once before the next seed."""
    parts = at.workload, at.service, split, _plan(at, split), at.capacity_per_s
    drawn = draw_split(*parts, at.secret)
    texts = {problem: each.source for problem, each in at.companions.items()}
    return tuple(replace(scenario, companions=texts) for scenario in drawn)


def exams(at: Sitting, split: Split) -> tuple[Exam, ...]:
    """The scenarios of a split with what their outcomes are held against."""
    drawn = scenarios(at, split)
    return tuple(Exam(scenario, at.problem.standard(scenario)) for scenario in drawn)


def doubts(sat: Sequence[Exam]) -> tuple[str, ...]:
    """Lines to tell before exams are sat on which no policy can gain anything."""
    idle = sum(exam.standard.bound <= 0 for exam in sat)
    if not idle:
        return ()
    return (
        f"warning: {idle} of {len(sat)} exams leave a policy nothing to gain and score "
        "1 whatever it does; choose another workload",
    )


def halves(
    at: Sitting, validation: tuple[Exam, ...]
) -> tuple[tuple[Exam, ...], tuple[Exam, ...]]:
    """The exams that pick a winner and the ones that report its gain.

    Both hold every regime equally often, and no request of a recording is in both.
    Raises ``ValueError`` for less than two seeds.
    """
    _check_halves(at)
    middle = _plan(at, "validation").n_picking
    return validation[:middle], validation[middle:]


def check(at: Sitting) -> None:
    """Raise ``ValueError`` unless validation, which comes last, can be had.

    Drawing is cheap; what the scenarios are held against is not computed here.
    """
    _check_halves(at)
    scenarios(at, "validation")


def _plan(at: Sitting, split: Split) -> Plan:
    return Plan(at.seeds[split], at.n_requests, at.regimes)


def _check_halves(at: Sitting) -> None:
    seeds = at.seeds["validation"]
    if seeds < 2:
        raise ValueError(
            f"problem.validation_seeds is {seeds}; two halves need at least 2"
        )


def service(options: Mapping[str, Any], problem: Mapping[str, Any]) -> Service:
    """What serves: the deployment, with what the problem sets of it, or a fleet."""
    sizes = {key: value for key, value in options.items() if key != "calibration"}
    known = {field.name for field in fields(Deployment)} - {"name"}
    sizes |= {key: value for key, value in problem.items() if key in known}
    calibration = load_calibration(options["calibration"])
    stamp = f"{calibration.name} ({calibration.status})"
    if "host_memory" in options:
        model, tokens = calibration.shape, options["block_tokens"]
        host = host_memory(model, tokens, **options["host_memory"])
        sizes["host_memory"] = host
        curves = [f"{curve.name} ({curve.status})" for curve in host.curves]
        stamp += f", copies {', '.join(curves)}"
    deployment, step_time = Deployment(**sizes), calibration.step_time
    fleet = None
    if "fleet" in problem:
        rules = dict(problem["fleet"])
        if rules.get("wire"):
            wire = rules["wire"] = load_curve(rules["wire"])
            rules["kv_bytes"] = calibration.shape.kv_token_bytes
            stamp += f", wire {wire.name} ({wire.status})"
        member = Member(deployment, step_time)
        fleet = Fleet((member,) * rules.pop("replicas"), **rules)
    return Service(deployment, step_time, stamp, fleet=fleet)
