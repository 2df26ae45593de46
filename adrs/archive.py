"""The run's memory: an append-only journal on disk and a small index of it.

One record a line, written at once and synced; what is not in it did not happen.
The index keeps what selection reads (scores, parents, failures); sources, metrics and
feedback stay on disk and are read when asked for, so that memory hardly grows.
"""

import fcntl
import json
import os
import time
from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

from adrs.candidate import Candidate, Trial
from adrs.history import History, Row, Settled
from adrs.logs import Logs
from adrs.records import (
    Event,
    Header,
    Proposed,
    Record,
    Rejected,
    decode,
    decode_trial,
    dropped,
    encode,
)
from evaluators.evaluation import Failure

__all__ = ["Archive", "ArchiveError", "History", "Index", "Row", "Settled"]

_CACHED_TRIALS = 64

SYNC_S = 0.1


class ArchiveError(Exception):
    """The journal cannot be opened, read or written; the message is one line."""


class Archive:
    """A run's journal: one writer, any number of readers.

    ``rows`` are in the order recorded, which is by round and slot; ``events`` likewise.
    Records are never changed once appended.
    """

    def __init__(self, path: Path, descriptor: int, *, writable: bool) -> None:
        """Use ``Archive.open`` or ``Archive.read``."""
        self.path = path
        self.logs = Logs(path)
        self.rows: list[Row] = []
        self.events: list[Event] = []
        self.header: Header | None = None
        self._descriptor = descriptor
        self._writable = writable
        self._synced_s = 0.0
        self.index = Index()
        self._load = lru_cache(_CACHED_TRIALS)(self._read_trial)

    @classmethod
    def open(cls, path: Path, header: Header) -> Self:
        """The journal at ``path``, made if absent, replayed if not, held for writing.

        A last line without its newline was being written when the writer died; it is
        cut off. Raises ``ArchiveError`` when another process writes to it, when it
        belongs to another run, when a line is corrupt or the place is not writable.
        """
        archive = cls(path, _open_locked(path), writable=True)
        try:
            end = archive._replay()
            os.ftruncate(archive._descriptor, end)
            if archive.header is None:
                archive.append(header)
            elif archive.header != header:
                raise ArchiveError(
                    f"{path} belongs to another run ({archive.header}, not {header}); "
                    "name another run or remove it"
                )
        except BaseException:
            archive.close()
            raise
        return archive

    @classmethod
    def read(cls, path: Path) -> Self:
        """The journal at ``path`` as it is now, for reading, even while it is written.

        Raises ``ArchiveError`` when there is none or a line is corrupt.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise ArchiveError(f"cannot read {path}: {error.strerror}") from None
        archive = cls(path, descriptor, writable=False)
        try:
            archive._replay()
        except BaseException:
            archive.close()
            raise
        return archive

    def append(self, *records: Record, lazily: bool = False) -> None:
        """Record in this order, written when it returns and synced to disk.

        ``lazily`` is for what can be computed again: written just so, which a kill
        cannot undo, but synced at most every ``SYNC_S``, or with what comes next.
        Raises ``ArchiveError`` when it cannot; then none of ``records`` is kept and
        everything before them still is.
        """
        if not self._writable:
            raise ArchiveError(f"{self.path} was opened for reading only")
        lines = [encode(record) for record in records]
        start = os.fstat(self._descriptor).st_size
        try:
            _write(self._descriptor, b"".join(lines))
            if not lazily or time.monotonic() - self._synced_s >= SYNC_S:
                os.fsync(self._descriptor)
                self._synced_s = time.monotonic()
        except OSError as error:
            os.ftruncate(self._descriptor, start)
            raise self._unwritable(error) from None
        for line in lines:
            self._take(json.loads(line), start, len(line))
            start += len(line)

    def record(self, trial: Trial) -> None:
        """Record a trial with its logs, which are there before it is.

        Raises ``ArchiveError`` as ``append`` does.
        """
        try:
            self.logs.keep(trial.candidate.id, trial.evaluation.outcomes)
        except OSError as error:
            raise self._unwritable(error) from None
        self.append(trial, lazily=True)

    def settled(self, round: int) -> Mapping[int, Settled]:
        """The slots of a round that are recorded, by slot."""
        return self.index.slots.get(round, {})

    def as_of(self, round: int) -> History:
        """What was known at the end of ``round``, whatever was recorded since."""
        n_rows = bisect_right(self.rows, round, key=lambda row: row.round)
        n_rejected = bisect_right(
            self.index.rejections, round, key=lambda rejected: rejected.round
        )
        return History(self.rows[:n_rows], self.index.rejections[:n_rejected])

    def candidate(self, id: str) -> Candidate:
        """The candidate of that id; raises ``KeyError`` when none was proposed."""
        proposed = decode(self._line(self.index.candidates[id]))
        assert isinstance(proposed, Proposed)
        return proposed.candidate

    def trial(self, id: str) -> Trial:
        """The trial of that candidate; ``KeyError`` when it was not evaluated."""
        return self._load(id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file and of its lock; what is recorded stays readable."""
        if self._descriptor >= 0:
            if self._writable:
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _unwritable(self, error: OSError) -> ArchiveError:
        return ArchiveError(
            f"cannot record in {self.path}: {error.strerror}; its "
            f"{len(self.rows)} trials are safe, the same command goes on from them"
        )

    def _replay(self) -> int:
        """Index every whole line; returns where the last one ends."""
        offset = 0
        with open(self._descriptor, "rb", closefd=False) as journal:
            for number, line in enumerate(journal, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    self._take(json.loads(line), offset, len(line))
                except (ValueError, KeyError, TypeError) as error:
                    raise ArchiveError(
                        f"{self.path} line {number} is corrupt ({error}); restore the "
                        "file from a copy, or move it away to start again"
                    ) from None
                offset += len(line)
        return offset

    def _take(self, data: dict[str, Any], offset: int, size: int) -> None:
        where = _Place(offset, size)
        if data["record"] == "trial":
            self._take_trial(data, where)
            return
        record = decode(data)
        match record:
            case Header():
                self.header = record
            case Event():
                self.events.append(record)
            case Proposed():
                self.index.candidates[record.candidate.id] = where
                self.index.parents[record.candidate.id] = record.candidate.parents
                self.index.rounds[record.candidate.id] = record.round
                self._settle(record, Settled(record.candidate.id, None, *_cost(record)))
            case Rejected():
                self.index.rejections.append(record)
                self._settle(record, Settled(None, record, *_cost(record)))

    def _settle(self, record: Proposed | Rejected, settled: Settled) -> None:
        self.index.slots.setdefault(record.round, {})[record.slot] = settled

    def _take_trial(self, data: dict[str, Any], where: "_Place") -> None:
        id_ = data["candidate"]
        scores = tuple(outcome["score"] for outcome in data["outcomes"])
        failures = (o["failure"] for o in data["outcomes"] if "failure" in o)
        failure = next(failures, None)
        row = Row(
            data["round"],
            data["slot"],
            id_,
            self.index.parents[id_],
            sum(scores) / len(scores) if scores else 0.0,
            scores,
            Failure(*failure) if failure else None,
            dropped(data),
        )
        self.rows.append(row)
        self.index.trials[id_] = where

    def _read_trial(self, id_: str) -> Trial:
        return decode_trial(self._line(self.index.trials[id_]), self.candidate(id_))

    def _line(self, where: "_Place") -> dict[str, Any]:
        line = os.pread(self._descriptor, where.size, where.offset)
        parsed: dict[str, Any] = json.loads(line)
        return parsed


class _Place(NamedTuple):
    offset: int
    size: int


class Index:
    """Where things are in the journal, what is in its slots, who was asked when."""

    def __init__(self) -> None:
        self.candidates: dict[str, _Place] = {}
        self.trials: dict[str, _Place] = {}
        self.parents: dict[str, tuple[str, ...]] = {}
        self.rounds: dict[str, int] = {}
        self.slots: dict[int, dict[int, Settled]] = {}
        self.rejections: list[Rejected] = []


def _cost(record: Proposed | Rejected) -> tuple[int, float]:
    return record.tokens, record.usd


def _open_locked(path: Path) -> int:
    """Descriptor of the journal, locked until this process ends or closes it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise ArchiveError(
            f"cannot write to {path}: {error.strerror}; "
            "choose a folder that is writable"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise ArchiveError(
            f"{path} is being written by another process; wait for it or name another "
            "run"
        ) from None
    return descriptor


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
