"""What the slots of a round ask, by what was known at the end of an earlier round."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from adrs import prompt, selection
from adrs.archive import Archive
from adrs.propose import Slot
from evaluators.problem import Problem
from evaluators.rng import stream


class Scope(NamedTuple):
    """Which slots of which round; it sees what was recorded up to round ``seen``."""

    round: int
    seen: int
    slots: range


def questions(
    problem: Problem, archive: Archive, scope: Scope, n_inspirations: int
) -> Iterator[Slot]:
    """A question a slot, each by its own draws from the archive's seed."""
    assert archive.header is not None
    history = archive.as_of(scope.seen)
    choices = selection.field(history)
    learned = prompt.lessons(history)
    seeds = [row for row in history.rows if row.round == 0]
    best_seed = max(seeds, key=lambda row: row.score)
    baseline = archive.trial(best_seed.id)
    is_known = partial(_was_proposed, archive.index.rounds, scope.round)
    for slot in scope.slots:
        draws = stream(archive.header.seed, "select", scope.round, slot)
        chosen = selection.choose(choices, draws, n_inspirations)
        parent = archive.trial(chosen.parent)
        shown = [archive.trial(id_) for id_ in chosen.inspirations]
        question = prompt.Question(parent, shown, baseline, learned)
        messages = prompt.build(problem, question)
        yield Slot(scope.round, slot, parent, chosen.inspirations, messages, is_known)


def _was_proposed(rounds: dict[str, int], before: int, id_: str) -> bool:
    """Whether a round before this one proposed it; asked from threads."""
    return rounds.get(id_, before) < before
