"""Routers as shipped in seeds, and fleets of equal replicas for them."""

from pathlib import Path

from evaluators.fleet import Fleet, Member
from evaluators.load import load_policy
from evaluators.scenario import Deployment, Scenario, ServiceClass
from evaluators.sim.cluster.routing import HOOKS

SEEDS = Path(__file__).parents[2] / "seeds" / "load_balancing"
ANY = ServiceClass("any", 10.0, 1.0, 10.0, "the paper's limits are per check")


def router(name, **tuned):
    """A seed with some of its class attributes changed."""
    policy = load_policy((SEEDS / f"{name}.py").read_text(), HOOKS)
    for attribute, value in tuned.items():
        assert hasattr(policy, attribute), attribute
        setattr(policy, attribute, value)
    return policy


class DispatchOnly:
    """A router without its migrations."""

    def __init__(self, policy):
        self.route = policy.route


def fleet_of(trace, step_time, deployment: Deployment, replicas, **rules) -> Scenario:
    """A trace on equal replicas."""
    member = Member(deployment, step_time)
    return Scenario(
        name="fleet",
        split="train",
        regime=1.0,
        trace=trace,
        deployment=deployment,
        step_time=step_time,
        classes=(ANY,) * trace.n_classes,
        calibration="of the paper",
        fleet=Fleet((member,) * replicas, **rules),
    )
