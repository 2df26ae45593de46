"""The side file of a run: facts that depend on the clock and stay out of the journal.

Lines are appended whole and not synced; losing some loses no result. Two journals of
one folder share the file, each line names its journal.
"""

import json
from pathlib import Path
from typing import Any

from adrs.archive import ArchiveError

NAME = "timings.jsonl"


class Timings:
    """Writer of the side file that lies beside ``journal``."""

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_name(NAME)
        self._journal = journal.stem

    def note(self, **facts: str | float) -> None:
        """Append one line; raises ``ArchiveError`` when it cannot."""
        line = json.dumps({"journal": self._journal, **facts}, sort_keys=True)
        try:
            with self.path.open("a", encoding="ascii") as file:
                file.write(line + "\n")
        except OSError as error:
            raise ArchiveError(
                f"cannot note in {self.path}: {error.strerror}"
            ) from None

    def elapsed_s(self) -> float:
        """Seconds that earlier processes of this run noted last; 0 if none did."""
        elapsed_s = 0.0
        for facts in self._lines():
            if facts.get("journal") == self._journal and "elapsed_s" in facts:
                elapsed_s = float(facts["elapsed_s"])
        return elapsed_s

    def _lines(self) -> list[dict[str, Any]]:
        """Whole lines; one that a killed writer left half is skipped."""
        if not self.path.exists():
            return []
        lines = []
        for line in self.path.read_text(encoding="ascii", errors="replace").split("\n"):
            try:
                facts = json.loads(line)
            except ValueError:
                continue
            if isinstance(facts, dict):
                lines.append(facts)
        return lines
