"""The steps of a simulated schedule, request by request, and a sample of them."""

from array import array
from collections.abc import Sequence

import numpy as np

from evaluators.calibration.step_time import StepTime
from evaluators.kernels.step_shape import StepShape
from evaluators.rng import stream
from evaluators.scenario import Scenario
from evaluators.sim.arrivals import Arrivals
from evaluators.sim.hooks import Policy
from evaluators.sim.plain.engine import plain_cache
from evaluators.sim.plain.state import Work
from evaluators.sim.plain.stepwise import PlainEngine


class Steps(Sequence[StepShape]):
    """Every step that an engine took, in order; kept flat, as there are many."""

    def __init__(self) -> None:
        self._numbers = array("i")
        self._ends = array("q", [0])

    def append(self, step: StepShape) -> None:
        """Add what a step computed."""
        self._numbers.append(len(step.chunks))
        for chunk in step.chunks:
            self._numbers.extend(chunk)
        self._numbers.extend(step.contexts)
        self._ends.append(len(self._numbers))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> StepShape:  # type: ignore[override]
        numbers = self._numbers[self._ends[index] : self._ends[index + 1]].tolist()
        last = 1 + 2 * numbers[0]
        pairs = zip(numbers[1:last:2], numbers[2:last:2], strict=True)
        return StepShape(tuple(pairs), tuple(numbers[last:]))


class _Noting(PlainEngine):
    """The plain engine, which notes what each of its steps computes."""

    noted: Steps

    def _compute(self, work: Work, ends_ps: int) -> None:
        chunks = tuple((r.computed, k) for r, k in work if not r.decoding)
        contexts = tuple(r.computed + 1 for r, _ in work if r.decoding)
        self.noted.append(StepShape(chunks, contexts))
        super()._compute(work, ends_ps)


def covers(scenario: Scenario) -> str | None:
    """Why the steps of a scenario cannot be noted; None where they can."""
    if scenario.fleet is not None:
        return "a fleet serves it, and steps of one engine only are replayed"
    if scenario.deployment.async_scheduling:
        return "it decides steps ahead (async_scheduling), which are not noted yet"
    if scenario.deployment.host_memory is not None:
        return "it has host memory, whose copies are not replayed"
    return None


def steps_of(scenario: Scenario, policy: object) -> Steps:
    """Serve a scenario step by step and note them all.

    ``policy`` is asked as ever. Raises ``ValueError`` for a scenario that this does not
    cover, and ``PolicyError`` for a policy's fault.
    """
    why = covers(scenario)
    if why is not None:
        raise ValueError(f"scenario {scenario.name}: {why}")
    engine = _Noting(scenario, Policy(policy), cache=plain_cache(scenario))
    engine.noted = Steps()
    engine.serve(Arrivals(scenario))
    return engine.noted


def sampled(
    steps: Sequence[StepShape], times: StepTime, n: int, seed: int
) -> list[int]:
    """Indices of ``n`` steps, each standing for an equal share of the engine's time.

    Steps are ordered by duration and cut where the time spent is so many parts of the
    whole; of each part one is drawn, in proportion to its duration. So short steps
    are not drawn only because there are many, nor long ones left out because there are
    few. A step may stand for several parts. Equal seeds draw equal steps.
    """
    if not len(steps):
        return []
    durations = np.array([times.duration_ps(step.batch) for step in steps], float)
    order = np.argsort(durations, kind="stable")
    spent = np.cumsum(durations[order])
    drawn = stream(seed, "sampled steps").uniform(size=n)
    at = np.searchsorted(spent, (np.arange(n) + drawn) / n * spent[-1], "right")
    return [int(order[min(i, len(order) - 1)]) for i in at]
