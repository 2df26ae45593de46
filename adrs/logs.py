"""The logs of decisions of a journal's trials, a file each, in a folder beside it."""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from evaluators.evaluation import Outcome

FOLDER = "decisions"


class Logs:
    """Keeps and finds the logs of the trials of one journal.

    A file is complete or not there: it is written beside its place and renamed. It is
    not synced, as the journal's record of the trial says what it must hold.
    """

    def __init__(self, journal: Path) -> None:
        """Of the journal at that path; no folder is made until there is a log."""
        self._folder = journal.parent / FOLDER / journal.stem

    def keep(self, id: str, outcomes: Sequence[Outcome]) -> None:
        """Keep the logs that the outcomes of a candidate came with.

        Raises ``OSError`` when they cannot be written; then there is no file.
        """
        if not any(outcome.log for outcome in outcomes):
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f".{id}"
        try:
            with zipfile.ZipFile(part, "w") as file:
                for number, outcome in enumerate(outcomes):
                    # Its default time is 1980, so that equal logs are equal bytes.
                    file.writestr(zipfile.ZipInfo(f"{number:04}"), outcome.log)
            os.replace(part, self._place(id))
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def read(self, id: str) -> list[bytes]:
        """The logs of a candidate, one a scenario, in the order of its outcomes.

        Raises ``OSError`` when there are none and ``ValueError`` for a broken file.
        """
        try:
            with zipfile.ZipFile(self._place(id)) as file:
                return [file.read(name) for name in sorted(file.namelist())]
        except zipfile.BadZipFile as error:
            raise ValueError(f"{self._place(id)} is broken: {error}") from None

    def _place(self, id: str) -> Path:
        return self._folder / f"{id}.zip"
