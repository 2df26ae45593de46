"""The best policies of all campaigns, read from the journals under ``runs``."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from adrs.archive import Archive, ArchiveError
from adrs.intervals import Gain
from adrs.isolation import STRICT
from adrs.kernel_replay import KernelReplay, journaled
from adrs.terminal import note
from adrs.verdict import Contender, Verdict, read

JOURNAL = "journal.jsonl"


class Row(NamedTuple):
    """One policy; scores are fractions of the bound.

    ``gap`` is train less validation; ``alarm`` tells that more of its gain on train is
    gone on validation than luck explains (``adrs.gap``). ``gain`` is over the best
    seed, with its interval. ``kernel_error`` is that of step times on a real device,
    None if they were not replayed; ``within_error`` tells that it hides the gain.
    Rows with equal ``exams`` compare; ``rank`` is among these.
    """

    rank: int
    candidate: str
    arm: str
    idea: str
    train: float
    validation: float
    gap: float
    alarm: bool
    gain: Gain
    bound_ratio: float
    isolation: str
    calibration: str
    exams: str
    run: str
    kernel_error: float | None = None
    within_error: bool = False

    @property
    def is_strict(self) -> bool:
        """Whether its policy was held by every layer; without, no rank."""
        return self.isolation == STRICT


def rows(runs: Path, problem: str) -> list[Row]:
    """Every policy that sat validation exams, the best first, exams by exams.

    A policy that sat the same exams in several campaigns appears once. What ran below
    the strict isolation has no rank, 0, and follows the ranked. A journal that
    cannot be read is named on stderr and left out.
    """
    best: dict[tuple[str, str], Row] = {}
    for journal in sorted(runs.glob(f"*/{JOURNAL}")):
        for row in _judged(journal, problem):
            known = best.setdefault((row.exams, row.candidate), row)
            if _says_more(row, known):
                best[row.exams, row.candidate] = row
    ranked = sorted(
        best.values(),
        key=lambda r: (r.exams, not r.is_strict, -r.validation, r.candidate),
    )
    firsts: dict[str, int] = {}
    for place, row in enumerate(ranked):
        firsts.setdefault(row.exams, place)
    return [
        row._replace(rank=place - firsts[row.exams] + 1) if row.is_strict else row
        for place, row in enumerate(ranked)
    ]


def _says_more(row: Row, known: Row) -> bool:
    """Whether a policy's row tells more: by its isolation, then by a replay."""
    before, now = (
        (each.is_strict, each.kernel_error is not None) for each in (known, row)
    )
    return now > before


def _judged(journal: Path, problem: str) -> list[Row]:
    """Rows of one run, none where it has no verdict or cannot be read."""
    try:
        with Archive.read(journal) as archive:
            if archive.header is None or archive.header.problem != problem:
                return []
            found = [event for event in archive.events if event.kind == "verdict"]
            if not found:
                return []
            return list(_rows(read(found[-1].facts), journaled(archive), journal))
    except ArchiveError as error:
        note(f"left out: {error}")
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as bad:
        note(
            f"left out: {journal} has a broken verdict or kernel replay ({bad!r}); "
            "restore the file from a copy, or move it away"
        )
    return []


def _rows(
    verdict: Verdict, replay: KernelReplay | None, journal: Path
) -> Iterator[Row]:
    if not any(each.arm == "seed" for each in verdict.contenders):
        raise ValueError("no baseline among its contenders")
    best_seed = verdict.best_seed
    for each in verdict.contenders:
        yield Row(
            rank=0,
            candidate=each.id,
            arm=each.arm,
            idea=each.idea,
            train=each.train,
            validation=each.validation,
            gap=each.train - each.validation,
            alarm=verdict.gap(each).is_alarming,
            gain=_gain(verdict, each, best_seed),
            bound_ratio=each.bound_ratio,
            isolation=verdict.isolation,
            calibration=verdict.calibration,
            exams=verdict.exams,
            run=journal.parent.name,
            kernel_error=replay.error(verdict, each) if replay else None,
            within_error=replay.hides(verdict, each) if replay else False,
        )


def _gain(verdict: Verdict, own: Contender, best_seed: Contender) -> Gain:
    return verdict.compare(own, best_seed).overall
