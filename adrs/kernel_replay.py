"""Kernel replay: steps of finalists' schedules on a real device, against their times.

The winner and the best seed each serve one reporting scenario of every load again, from
their logs; of the steps a sample is run with random weights on the device at hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, cast

from adrs.archive import Archive
from adrs.decisions import LogError, unseal
from adrs.exams import Sitting, exams, halves, scenarios
from adrs.logs import Logs
from adrs.records import Event
from adrs.replaying import Recorded
from adrs.validation import VALIDATION
from adrs.verdict import Contender, Verdict
from evaluators.calibration.calibration import Calibration, load
from evaluators.calibration.shapes import CPUS
from evaluators.kernels.schedule import covers, sampled, steps_of
from evaluators.kernels.step_shape import StepShape
from evaluators.problem import Exam

if TYPE_CHECKING:
    from evaluators.kernels.bench import Kind

EVENT: Literal["kernels"] = "kernels"
WAYS = ("off", "cpu", "cuda")
N_STEPS = 32
"""Of each policy at least, as many of each load; each stands for an equal share of its
engine's time."""
PS_PER_S = 1e12


@dataclass(frozen=True, slots=True)
class Replayed:
    """A policy's sampled steps: what the calibration says, and what was measured."""

    id: str
    predicted_s: tuple[float, ...]
    measured_s: tuple[float, ...]

    @property
    def error(self) -> float:
        """Mean absolute relative error of the predictions, all time weighed alike."""
        ratios = zip(self.predicted_s, self.measured_s, strict=True)
        errors = [abs(said / took - 1) for said, took in ratios]
        return sum(errors) / len(errors)

    @property
    def bias(self) -> float:
        """Predicted over measured in all, less 1; an equal bias moves nobody's rank."""
        return sum(self.predicted_s) / sum(self.measured_s) - 1


@dataclass(frozen=True, slots=True)
class KernelReplay:
    """What a device said of a run's finalists; journaled once, as it is no simulation.

    ``calibration`` and ``model`` name what predicted, ``device`` and ``clock`` what
    measured.
    """

    device: str
    clock: str
    calibration: str
    model: str
    policies: tuple[Replayed, ...]

    def of(self, id: str) -> Replayed | None:
        """That policy's steps; None of one that was not replayed."""
        return next((each for each in self.policies if each.id == id), None)

    def error(self, verdict: Verdict, own: Contender) -> float | None:
        """The larger error of the policy's and the best seed's; None if not replayed.

        A gain compares the two, so either can hide it.
        """
        found = self.of(own.id), self.of(verdict.best_seed.id)
        errors = [each.error for each in found if each is not None]
        return max(errors) if found[0] is not None else None

    def hides(self, verdict: Verdict, own: Contender) -> bool:
        """Whether its gain over the best seed, in parts of that, is below the error."""
        error, seed = self.error(verdict, own), verdict.best_seed
        if error is None or own.id == seed.id:
            return False
        return verdict.compare(own, seed).overall.mean < error * seed.validation

    def facts(self) -> dict[str, Any]:
        """As plain values, for the journal; ``read`` is the inverse."""
        return asdict(self)


def read(facts: Mapping[str, Any]) -> KernelReplay:
    """The replay that ``facts`` were made of, also after a journey through JSON."""
    policies = tuple(
        Replayed(each["id"], tuple(each["predicted_s"]), tuple(each["measured_s"]))
        for each in facts["policies"]
    )
    return KernelReplay(**{**facts, "policies": policies})


def journaled(archive: Archive) -> KernelReplay | None:
    """What the run's journal has of it; None if it has nothing."""
    found = [event for event in archive.events if event.kind == EVENT]
    return read(found[-1].facts) if found else None


def check(way: str, at: Sitting, calibration: str) -> None:
    """Raise ``ValueError`` before a run for what its replay would stop at after it."""
    if way not in WAYS:
        raise ValueError(f"kernel_replay is {way!r}; expected one of {', '.join(WAYS)}")
    if way == "off":
        return
    if at.problem.name != "scheduling":
        raise ValueError(
            f"kernel_replay={way} cannot be had: only problem=scheduling decides the "
            f"steps that are replayed, not {at.problem.name}"
        )
    made = load(calibration)
    kind = "cpu" if made.gpu in CPUS else "cuda"
    if kind != way:
        raise ValueError(
            f"kernel_replay={way}: the deployment's calibration {made.name} is of "
            f"{made.gpu}; expected kernel_replay={kind}, or a deployment of this "
            "device, as deployment=cpu_tiny for a CPU"
        )
    if made.tp != 1:
        raise ValueError(
            f"kernel_replay runs on one device; {made.name} is of {made.tp}"
        )
    if find_spec("torch") is None:
        raise ValueError("kernel_replay needs torch: pip install 'adrs-harness[gpu]'")
    why = covers(scenarios(at, "train")[0])
    if why is not None:
        raise ValueError(f"kernel_replay={way} cannot be had: {why}")
    from evaluators.kernels import replay  # noqa: PLC0415 (torch is optional)

    replay.check(cast("Kind", way), made.model)


def replayed(
    way: str, at: Sitting, archive: Archive, verdict: Verdict, calibration: str
) -> KernelReplay | None:
    """The winner's and the best seed's steps on the device; None if switched off.

    What the journal has is taken from it, as a device never says the same twice.
    """
    if way == "off":
        return None
    known = journaled(archive)
    if known is not None:
        return known
    assert archive.header is not None
    made, winner = load(calibration), verdict.winner
    finalists = [verdict.best_seed, *([winner] if winner else [])]
    found = _measured(way, at, archive, finalists, made)
    last = max(archive.index.slots) + 1
    archive.append(Event(EVENT, last, found.facts()))
    return found


def _measured(
    way: str,
    at: Sitting,
    archive: Archive,
    finalists: Sequence[Contender],
    made: Calibration,
) -> KernelReplay:
    from evaluators.kernels import replay  # noqa: PLC0415 (torch is optional)

    assert archive.header is not None
    logs, seed = Logs(archive.path.with_name(VALIDATION)), archive.header.seed
    sat = exams(at, "validation")
    steps = [_sample(each, at, logs, sat, made, seed) for each in finalists]
    every = [step for sample in steps for step in sample]
    taken = replay.timed(cast("Kind", way), made.model, every, seed)
    policies, start = [], 0
    for each, sample in zip(finalists, steps, strict=True):
        seconds = taken.seconds[start : start + len(sample)]
        said = [made.step_time.duration_ps(step.batch) / PS_PER_S for step in sample]
        policies.append(Replayed(each.id, tuple(said), seconds))
        start += len(sample)
    clock = taken.device, taken.clock
    return KernelReplay(*clock, made.name, made.model, tuple(policies))


def _sample(
    each: Contender,
    at: Sitting,
    logs: Logs,
    sat: Sequence[Exam],
    made: Calibration,
    seed: int,
) -> list[StepShape]:
    """Steps of a policy on one reporting scenario of every load, as it decided them."""
    pick, reporting = halves(at, tuple(sat))
    n_loads = len(at.regimes)
    kept = logs.read(each.id)[len(pick) :]
    digests = each.decisions[len(pick) :]
    found: list[StepShape] = []
    for exam, log, digest in zip(reporting[:n_loads], kept, digests, strict=False):
        policy = Recorded(unseal(log, digest), at.problem.hooks)
        steps = steps_of(exam.scenario, policy)
        if policy.mismatch is not None or policy.n_left:
            raise policy.mismatch or LogError(
                f"the log of {each.id} on {exam.scenario.name} has {policy.n_left} "
                "entries that the engine never asks for"
            )
        n = -(-N_STEPS // n_loads)
        found += [steps[i] for i in sampled(steps, made.step_time, n, seed)]
    return found
