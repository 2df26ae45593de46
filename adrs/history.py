"""What the archive keeps in memory of trials and slots, and what a round may know."""

from typing import NamedTuple

from adrs.records import Rejected
from evaluators.evaluation import Dropped, Failure


class Row(NamedTuple):
    """What the index keeps of a trial; a ``dropped`` one has scores of some exams."""

    round: int
    slot: int
    id: str
    parents: tuple[str, ...]
    score: float
    scores: tuple[float, ...]
    failure: Failure | None
    dropped: Dropped | None = None

    @property
    def is_ranked(self) -> bool:
        """Whether it was scored on every exam."""
        return self.failure is None and self.dropped is None


class Settled(NamedTuple):
    """What the index keeps of a slot: its candidate's id, or why it has none."""

    id: str | None
    rejected: Rejected | None
    tokens: int
    usd: float


class History(NamedTuple):
    """What a round may know: trials and rejections up to the end of an earlier one."""

    rows: list[Row]
    rejections: list[Rejected]
