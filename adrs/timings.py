"""The side file of a run: facts that depend on the clock and stay out of the journal.

Lines are appended whole and not synced; losing some loses no result. Two journals of
one folder share the file, each line names its journal.
"""

import json
from pathlib import Path

from adrs.archive import ArchiveError
from adrs.budget import Budget
from adrs.candidate import Trial
from adrs.records import Event

NAME = "timings.jsonl"


class Timings:
    """Observer that notes when things happened, in seconds that count."""

    def __init__(self, journal: Path, budget: Budget) -> None:
        self._path = journal.with_name(NAME)
        self._journal = journal.stem
        self._budget = budget

    def on_round(self, round: int, n_candidates: int) -> None:
        """Note that a round was asked."""
        self._note(what="round", round=round, candidates=n_candidates)

    def on_trial(self, trial: Trial) -> None:
        """Note that a trial was recorded."""
        self._note(what="trial", round=trial.round, slot=trial.slot)

    def on_event(self, event: Event) -> None:
        """Note what else happened."""
        self._note(what=event.kind, round=event.round)

    def _note(self, **facts: str | int) -> None:
        elapsed_s = round(self._budget.elapsed_s, 3)
        line = {"journal": self._journal, "elapsed_s": elapsed_s, **facts}
        try:
            with self._path.open("a", encoding="ascii") as file:
                file.write(json.dumps(line, sort_keys=True) + "\n")
        except OSError as error:
            raise ArchiveError(
                f"cannot note in {self._path}: {error.strerror}; what is recorded is "
                "safe, the same command goes on from there"
            ) from None


def elapsed_s(journal: Path) -> float:
    """Seconds that earlier processes of this run noted last; 0 if none did."""
    path = journal.with_name(NAME)
    if not path.exists():
        return 0.0
    last_s = 0.0
    for line in path.read_text(encoding="ascii", errors="replace").split("\n"):
        try:
            facts = json.loads(line)
        except ValueError:  # a killed writer left half of it
            continue
        if facts["journal"] == journal.stem:
            last_s = float(facts["elapsed_s"])
    return last_s
