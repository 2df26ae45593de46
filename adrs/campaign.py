"""The loop: choose, propose, evaluate and record, until the budget is spent.

A round's questions are asked while the pool evaluates the rounds before it: round r
sees the trials up to round r - 1 - lag. What is recorded, and in which order, follows
from the seed and the replies alone. Resuming is running the same loop, taking from the
journal what is in it instead of asking or evaluating again.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from adrs.archive import Archive
from adrs.asking import Outage, ask
from adrs.budget import Budget, Cost
from adrs.candidate import Candidate, Trial, candidate
from adrs.llm.model import Model
from adrs.propose import propose
from adrs.questions import Scope, questions
from adrs.records import Event, Proposed, Rejected
from adrs.rungs import Evaluator, Rungs
from evaluators.evaluation import Evaluation, PolicyError
from evaluators.problem import Exam, Problem


class Observer(Protocol):
    """Told in the campaign's thread what was just recorded, never of it again.

    Nothing is told of what an earlier process recorded: the archive has it.
    """

    def on_round(self, round: int, n_candidates: int) -> None:
        """All questions of a round are answered, its evaluation began."""
        ...

    def on_trial(self, trial: Trial) -> None:
        """A candidate was evaluated."""
        ...

    def on_event(self, event: Event) -> None:
        """The campaign resumed, paused or stopped."""
        ...


@dataclass(frozen=True, slots=True)
class Search:
    """How a campaign searches.

    ``slots`` questions are asked a round, each shows ``inspirations`` policies beside
    the parent. After ``patience`` rounds without any new candidate it stops. With
    ``early_drop`` a candidate that is surely worse than the best known sits no more.
    """

    slots: int = 8
    lag: int = 1
    inspirations: int = 2
    patience: int = 20
    early_drop: bool = True
    outage: Outage = field(default_factory=Outage)

    def __post_init__(self) -> None:
        """Raise ``ValueError`` naming the first number that is too small."""
        least = {"slots": 1, "lag": 0, "inspirations": 0, "patience": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ValueError(
                    f"search.{name} is {getattr(self, name)}; expected at least {low}"
                )


class _Pending(NamedTuple):
    """A round whose evaluation began; ``evaluations`` are of the unrecorded ids."""

    round: int
    ids: dict[int, str]
    evaluations: Iterator[Evaluation]


@dataclass(frozen=True, slots=True)
class Campaign:
    """A search for a better policy; ``archive`` is open for writing and names the seed.

    Two campaigns may share a pool and a folder, each with its own journal. ``ends``
    says why there is nothing to ask in a round, None where there is.
    """

    problem: Problem
    model: Model
    pool: Evaluator
    exams: Sequence[Exam]
    archive: Archive
    budget: Budget
    search: Search = field(default_factory=Search)
    observers: Sequence[Observer] = ()
    ends: Callable[[int], str | None] = lambda round: None

    def run(self, seeds: Mapping[str, str]) -> str:
        """Search until something stops it; returns what did.

        That is the budget that is spent ("evaluations", "tokens", "usd", "seconds") or
        "stalled", or what ``ends`` says. ``seeds`` are sources by name. Raises
        ``ModelUnavailableError`` when the model stays down, ``ArchiveError`` when
        nothing can be recorded any more and ``ValueError`` for seeds that are no
        policies or not those of the journal; in each case the same call goes on later.
        """
        if self.archive.index.slots:
            self._tell(Event("resume", 0, {"trials": len(self.archive.rows)}))
        at_once = self.search.slots * (self.search.lag + 1)
        with (
            Rungs(self.pool, self.exams, at_once) as rungs,
            ThreadPoolExecutor(self.search.slots) as threads,
        ):
            pending = deque([self._plant(seeds, rungs)])
            number = 1
            while True:
                seen = max(0, number - 1 - self.search.lag)
                self._collect(pending, seen)
                reason = self._end(number)
                if reason is not None:
                    self._collect(pending, number)
                    return reason
                self._propose(number, seen, threads)
                pending.append(self._begin(number, rungs, seen))
                number += 1

    def _plant(self, seeds: Mapping[str, str], rungs: Rungs) -> _Pending:
        """Record the seeds as round 0, in the order of their names."""
        if not seeds:
            raise ValueError("no seeds; expected at least one policy to start from")
        recorded = self.archive.settled(0)
        planted: set[str] = set()
        for slot, name in enumerate(sorted(seeds)):
            made = _seed(name, seeds[name])
            if slot not in recorded:
                self.archive.append(_settled_seed(slot, made, planted))
            elif self.archive.settled(0)[slot].id != (
                None if made.id in planted else made.id
            ):
                raise ValueError(
                    f"seed {name} differs from the one {self.archive.path} began with; "
                    "name another run"
                )
            planted.add(made.id)
        return self._begin(0, rungs, None)

    def _end(self, number: int) -> str | None:
        """Why the campaign ends before this round, recorded the first time."""
        if self.archive.settled(number):
            return None
        for event in self.archive.events:
            if event.kind == "stop":
                return str(event.facts["reason"])
        reason = self._shortage(number)
        if reason is not None:
            stop = Event("stop", number, {"reason": reason})
            self.archive.append(stop)
            self._tell(stop)
        return reason

    def _shortage(self, number: int) -> str | None:
        last = range(number - self.search.patience, number)
        if last[0] > 0 and not any(
            slot.id for r in last for slot in self.archive.settled(r).values()
        ):
            return "stalled"
        return self.budget.shortage(self.budget.call) or self.ends(number)

    def _propose(self, number: int, seen: int, threads: Executor) -> None:
        """Fill the round's slots that are not recorded, and charge for all of them."""
        call = self.budget.call
        n_slots = self.budget.proposals(self.search.slots)
        self.budget.reserve(Cost().plus(call, n_slots))
        recorded = len(self.archive.settled(number))
        if recorded < n_slots:
            slots = questions(
                self.problem,
                self.archive,
                Scope(number, seen, range(recorded, n_slots)),
                self.search.inspirations,
            )
            calls = [
                partial(propose, self.model, self.problem.hooks, slot) for slot in slots
            ]
            waited = partial(self._waited, number)
            for answers in ask(calls, threads, self.search.outage, waited):
                self.archive.append(*self._distinct(answers))
        settled = self.archive.settled(number).values()
        for slot in settled:
            released = call if slot.id is None else call._replace(evaluations=0)
            self.budget.spend(released, Cost(0, slot.tokens, slot.usd))
        if recorded < n_slots:
            n_candidates = sum(slot.id is not None for slot in settled)
            for observer in self.observers:
                observer.on_round(number, n_candidates)

    def _distinct(
        self, answers: Sequence[Proposed | Rejected]
    ) -> list[Proposed | Rejected]:
        """The answers, rejected where an earlier slot of their round gave the same."""
        known = set[str]()
        distinct = list[Proposed | Rejected]()
        for answer in answers:
            if isinstance(answer, Proposed):
                id_ = answer.candidate.id
                if id_ in known or id_ in self.archive.index.rounds:
                    answer = _repeated(answer)
                known.add(id_)
            distinct.append(answer)
        return distinct

    def _best(self, seen: int) -> Sequence[float] | None:
        """Scores of the best policy known then, which a candidate is held against."""
        if not self.search.early_drop:
            return None
        ranked = (row for row in self.archive.as_of(seen).rows if row.is_ranked)
        best = max(ranked, key=lambda row: row.score, default=None)
        return best.scores if best else None

    def _begin(self, number: int, rungs: Rungs, seen: int | None) -> _Pending:
        """Have the pool evaluate what the round proposed and the journal lacks.

        That is held against the best that was ``seen``; seeds are against nothing.
        """
        settled = self.archive.settled(number)
        ids = {slot: of.id for slot, of in settled.items() if of.id is not None}
        missing = [id_ for id_ in ids.values() if id_ not in self.archive.index.trials]
        sources = [self.archive.candidate(id_).source for id_ in missing]
        if not sources:
            return _Pending(number, ids, iter(()))
        best = None if seen is None else self._best(seen)
        evaluations = rungs.evaluate(sources, best)
        return _Pending(number, ids, evaluations)

    def _collect(self, pending: deque[_Pending], until: int) -> None:
        """Record the trials of the rounds up to ``until`` in order."""
        while pending and pending[0].round <= until:
            number, ids, evaluations = pending.popleft()
            for slot, id_ in ids.items():
                if id_ not in self.archive.index.trials:
                    made = self.archive.candidate(id_)
                    self._record(Trial(number, slot, made, next(evaluations)))
                if number:
                    self.budget.spend(Cost(1), Cost(1))

    def _record(self, trial: Trial) -> None:
        self.archive.record(trial)
        for observer in self.observers:
            observer.on_trial(trial)

    def _tell(self, event: Event) -> None:
        for observer in self.observers:
            observer.on_event(event)

    def _waited(self, number: int, wait_s: float, why: str) -> None:
        self._tell(Event("pause", number, {"wait_s": wait_s, "reason": why}))
        self.budget.forgive(wait_s)


def _seed(name: str, source: str) -> Candidate:
    try:
        return candidate(source, origin=f"seed {name}")
    except PolicyError as error:
        raise ValueError(f"seed {name} is no policy: {error.failure.message}") from None


def _settled_seed(slot: int, made: Candidate, planted: set[str]) -> Proposed | Rejected:
    if made.id in planted:
        return Rejected(0, slot, "duplicate", f"{made.origin} is a seed already")
    return Proposed(0, slot, made)


def _repeated(answer: Proposed) -> Rejected:
    message = f"policy {answer.candidate.id} was proposed in this round"
    at = answer.round, answer.slot
    return Rejected(*at, "duplicate", message, answer.tokens, answer.usd)
