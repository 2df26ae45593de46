"""Who won a campaign: picked on one half of validation, its gain read on the other."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from adrs.gap import Gains, Gap, gap
from adrs.intervals import Gain, gain, gains_by

Arm = Literal["evolved", "seed", "tuned"]
"""tuned: the best seed with its class attributes searched at equal budget."""
SLIGHT = 0.005
"""A loss at one load that nobody is called worse for, as a fraction of the bound: half
of the gain that validation is sized to find. Differences at low loads are often a mass
of tiny losses with a few large gains; six seeds without one of these look surely worse,
which an equal did in 20 to 28 % of 200 repetitions, and in 2.5 % beyond this."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A policy that sat the validation exams; scores are in the order of the exams.

    ``trained`` are those on train, whose mean is ``train``. ``bound_ratio`` is the mean
    objective over its bound before any gate, on the reporting half. ``decisions`` name
    the logs of what it answered, exam by exam.
    """

    id: str
    arm: Arm
    idea: str
    train: float
    pick: tuple[float, ...]
    report: tuple[float, ...]
    bound_ratio: float
    trained: tuple[float, ...] = ()
    decisions: tuple[str, ...] = ()

    @property
    def validation(self) -> float:
        """Mean score on the half that picked nobody."""
        return sum(self.report) / len(self.report)

    @property
    def picked_by(self) -> float:
        """Mean score on the half that picks."""
        return sum(self.pick) / len(self.pick)


class Comparison(NamedTuple):
    """A winner's gain over another policy, in all and at each load."""

    overall: Gain
    by_regime: Mapping[float, Gain]

    @property
    def is_better(self) -> bool:
        """Surely better in all, and at no load surely and more than slightly worse.

        An equal is called better in 2.5 % of comparisons (more often where rare large
        losses decide, see README), and worse at any of the loads in as many: the
        intervals of loads hold together.
        """
        return self.overall.low > 0 and not self.worse_at

    @property
    def worse_at(self) -> tuple[float, ...]:
        """The loads at which it is surely worse by more than ``SLIGHT``."""
        return tuple(x for x, gain in self.by_regime.items() if gain.high < -SLIGHT)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the validation exams say; ``regimes`` are those of the reporting half.

    ``train_regimes`` are those of the train exams. ``unsteady`` are ids of policies
    that did not sit, as they decide differently when they are asked again.

    ``exams`` says what was sat: scores compare only where it is equal. ``n_evolved``
    and ``n_tuned`` policies were evaluated on train by the two arms.
    """

    contenders: tuple[Contender, ...]
    regimes: tuple[float, ...]
    exams: str
    isolation: str
    calibration: str
    n_evolved: int = 0
    n_tuned: int = 0
    train_regimes: tuple[float, ...] = ()
    unsteady: tuple[str, ...] = ()

    @property
    def winner(self) -> Contender | None:
        """The evolved policy that the picking half likes best; None when none sat."""
        return self._best("evolved")

    @property
    def best_seed(self) -> Contender:
        """The baseline that the picking half likes best."""
        best = self._best("seed")
        assert best is not None, "no baseline sat the validation exams"
        return best

    @property
    def tuned(self) -> Contender | None:
        """The tuned baseline that the picking half likes best; None when none sat."""
        return self._best("tuned")

    def compare(self, own: Contender, other: Contender) -> Comparison:
        """Gain of one over another on the reporting half."""
        pairs = own.report, other.report, self.regimes
        return Comparison(gain(*pairs), gains_by(*pairs))

    def gap(self, own: Contender) -> Gap:
        """What of its gain over the best seed on train is not there on validation.

        Only the reporting half counts: who was picked was lucky on the other.
        """
        other = self.best_seed
        train = _less(own.trained, other.trained), self.train_regimes
        fresh = _less(own.report, other.report), self.regimes
        tried = {"evolved": self.n_evolved, "tuned": self.n_tuned, "seed": 1}
        return gap(Gains(*train), Gains(*fresh), tried[own.arm])

    def facts(self) -> dict[str, Any]:
        """As plain values, for the journal; ``read`` is the inverse."""
        return asdict(self)

    def _best(self, arm: Arm) -> Contender | None:
        """Highest on the picking half; the earlier of equals."""
        own = [contender for contender in self.contenders if contender.arm == arm]
        return max(own, key=lambda contender: contender.picked_by, default=None)


def read(facts: Mapping[str, Any]) -> Verdict:
    """The verdict that ``facts`` were made of, also after a journey through JSON."""
    contenders = tuple(Contender(**_tuples(each)) for each in facts["contenders"])
    return Verdict(**{**_tuples(facts), "contenders": contenders})


def _tuples(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in facts.items()}


def _less(own: tuple[float, ...], other: tuple[float, ...]) -> list[float]:
    return [a - b for a, b in zip(own, other, strict=True)]
