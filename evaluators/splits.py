"""The scenarios of a split: load regimes times seeds of one workload on one service."""

from collections.abc import Mapping
from dataclasses import dataclass

from evaluators.calibration.step_time import StepTime
from evaluators.fleet import Fleet
from evaluators.rng import keyed
from evaluators.scenario import Deployment, Half, Scenario, ServiceClass, Split
from evaluators.workloads.classes import CLASSES
from evaluators.workloads.workload import Workload

REGIMES = (0.5, 0.8, 1.0, 1.2)
"""Load as multiples of the capacity of the engine's own rules."""
FIRST_SEED: Mapping[Split, int] = {"train": 0, "validation": 10_000, "held_out": 20_000}
"""Splits count their seeds from different numbers, so that none can be mistaken."""


@dataclass(frozen=True, slots=True)
class Service:
    """What serves the requests, how fast, and what it promises.

    ``calibration`` names the step-time model and whether it was measured. With a
    ``fleet``, its members serve, of which ``deployment`` and ``step_time`` are one.
    """

    deployment: Deployment
    step_time: StepTime
    calibration: str
    classes: tuple[ServiceClass, ...] = CLASSES
    fleet: Fleet | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How many scenarios a split has: ``seeds`` of ``n_requests`` at each regime."""

    seeds: int
    n_requests: int
    regimes: tuple[float, ...] = REGIMES

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a plan without scenarios or without load."""
        if self.seeds < 1 or not self.regimes:
            raise ValueError(
                f"a split of {self.seeds} seeds at regimes {self.regimes} is empty"
            )
        if min(self.regimes) <= 0:
            raise ValueError(f"regimes are {self.regimes}; expected all above 0")

    @property
    def n_picking(self) -> int:
        """How many scenarios of validation pick; those after them report."""
        return self.seeds // 2 * len(self.regimes)

    def part(self, split: Split, place: int) -> Split | Half:
        """What a split's scenario at a place, from 0, is drawn from.

        Of validation it is a half, so that no request of a recording is in both.
        """
        if split != "validation":
            return split
        return "picking" if place < self.n_picking else "reporting"


def draw_split(
    workload: Workload,
    service: Service,
    split: Split,
    plan: Plan,
    capacity_per_s: float,
    secret: bytes = b"",
) -> tuple[Scenario, ...]:
    """Scenarios of a split, every regime once before the next seed.

    No two scenarios share a seed, and a larger plan begins with the smaller one's. With
    a ``secret`` only who knows it can draw validation and held-out again, and ids are
    keyed in all splits; without one, the number of a seed tells everything. Of
    a recording's validation ``plan.part`` says the half: there, a larger plan moves
    scenarios to the other one. Raises ``ValueError`` when the workload cannot give so
    many requests.
    """
    numbered = enumerate(plan.regimes * plan.seeds, FIRST_SEED[split])
    return tuple(
        Scenario(
            name=f"{workload.name}/{regime}x/seed {seed}",
            split=split,
            regime=regime,
            trace=workload.draw(
                plan.part(split, seed - FIRST_SEED[split]),
                _seed(split, seed, secret),
                regime * capacity_per_s,
                plan.n_requests,
            ),
            deployment=service.deployment,
            step_time=service.step_time,
            classes=service.classes,
            calibration=service.calibration,
            prediction_error=workload.prediction_error,
            n_tenants=workload.n_tenants,
            fleet=service.fleet,
            id_key=keyed(secret, "ids", split, seed) if secret else b"",
        )
        for seed, regime in numbered
    )


def _seed(split: Split, number: int, secret: bytes) -> int:
    """What a scenario's streams start from; train's are public."""
    if split == "train" or not secret:
        return number
    return int.from_bytes(keyed(secret, "draws", split, number))
