"""A small scenario of any problem, drawn as its configuration says."""

import functools

from adrs.exams import service
from adrs.settings import Arguments, settings
from adrs.workloads import configured
from evaluators.problem import Exam
from evaluators.problems import load
from evaluators.splits import Plan, draw_split

TOO_MUCH = 9.0
"""Requests a second of a replica: more than it sustains, so that decisions matter."""


@functools.cache
def small(problem: str, n_requests: int = 60) -> Exam:
    """One exam of the problem on its own workload and deployment."""
    composed = settings("score", Arguments(("any",), (f"problem={problem}",)))
    serves = service(composed.deployment, composed.problem)
    workload = configured(composed.workload, composed.data)
    replicas = len(serves.fleet.members) if serves.fleet else 1
    plan = Plan(seeds=1, n_requests=n_requests, regimes=(1.0,))
    (scenario,) = draw_split(workload, serves, "train", plan, TOO_MUCH * replicas)
    return Exam(scenario, load(problem).standard(scenario))
