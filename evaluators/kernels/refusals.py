"""Sizes and kernels that were not timed, and why: a wrong result, too little memory."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from evaluators.kernels.table import Size

COLUMNS = ("operation", "size", "reason")


class Refusals:
    """An append-only list; a size in it is not tried again in this folder."""

    def __init__(self, path: Path) -> None:
        self._known = set[tuple[str, str]]()
        if path.exists():
            text = path.read_bytes()
            os.truncate(path, text.rfind(b"\n") + 1)
            rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
            self._known = {(row[0], row[1]) for row in rows[1:] if len(row) == 3}
        self._file = path.open("a", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        if not path.stat().st_size:
            self._write(COLUMNS)

    def has(self, operation: str, size: Sequence[Size]) -> bool:
        """Whether it was refused before."""
        return (operation, _text(size)) in self._known

    def append(self, operation: str, size: Sequence[Size], reason: str) -> None:
        """Add one; ``reason`` is kept on one line."""
        self._write((operation, _text(size), " ".join(reason.split())[:300]))
        self._known.add((operation, _text(size)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _write(self, row: Sequence[str]) -> None:
        self._writer.writerow(row)
        self._file.flush()
        os.fsync(self._file.fileno())


def _text(size: Sequence[Size]) -> str:
    return " ".join(map(str, size))
