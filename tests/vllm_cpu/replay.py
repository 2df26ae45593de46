"""Our plain engine with the durations of steps that the real one took.

If it then takes the same decisions in every step, all that is left between the two is
how long a step takes.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from evaluators.calibration.step_time import Batch
from evaluators.load import load_policy
from evaluators.scenario import Scenario
from evaluators.sim.arrivals import Arrivals
from evaluators.sim.hooks import HOOKS
from evaluators.sim.run import Run
from tests.differential.decisions import Steps, Watched, ours

Note = dict[str, Any]
Difference = tuple[int, Any]
CHOICES = ("work", "preempted", "finished")
FIELDS = ("at_ps", "ends_ps", *CHOICES)


class TakenSteps:
    """Stands for a step time: says what each next step took, and notes its batch."""

    def __init__(self, durations_ps: Sequence[int]) -> None:
        self._left = list(reversed(durations_ps))
        self.batches: list[Batch] = []

    def duration_ps(self, batch: Batch) -> int:
        """What the next step took in the real engine, whatever is in it here."""
        self.batches.append(batch)
        return self._left.pop()


class Replay(NamedTuple):
    """What our engine did, and what our step time would be asked of each step."""

    steps: Steps
    run: Run
    batches: list[Batch]


def replayed(scenario: Scenario, policy: str, notes: Sequence[Note]) -> Replay:
    """Serve the scenario again, each step as long as it was."""
    taken = TakenSteps([note["ends_ps"] - note["at_ps"] for note in notes])
    timed = replace(scenario, step_time=taken)
    engine = Watched(timed, load_policy(policy, HOOKS) if policy else None, None)
    engine.serve(Arrivals(timed))
    return Replay(engine.noted, engine.result(), taken.batches)


def first_difference(replay: Replay, notes: Sequence[Note]) -> Difference | None:
    """Number of the first step that is not the same, and how; None if all are."""
    return _first(replay.steps, notes, FIELDS)


def first_other_choice(
    scenario: Scenario, policy: str, notes: Sequence[Note]
) -> Difference | None:
    """The same of who computes what, whenever, by the scenario's own step time."""
    made = load_policy(policy, HOOKS) if policy else None
    return _first(ours(scenario, made), notes, CHOICES)


def _first(
    own: Steps, notes: Sequence[Note], fields: Sequence[str]
) -> Difference | None:
    for number, (mine, theirs) in enumerate(zip(own, notes, strict=False)):
        apart = {n: (mine[n], theirs[n]) for n in fields if mine[n] != theirs[n]}
        if apart:
            return number, apart
    if len(own) != len(notes):
        return min(len(own), len(notes)), (len(own), len(notes))
    return None
