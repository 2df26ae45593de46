"""A table of measured times: a CSV file that a killed run leaves whole and goes on."""

import csv
import os
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from evaluators.kernels.spread import Spread

MEASURED = (
    "kernel",
    "seconds_p50",
    "seconds_p10",
    "seconds_p90",
    "repeats",
    "max_error",
)
"""Columns behind the sizes; ``max_error`` is the largest difference from float64 over
the largest reference value, of the outputs that were compared."""

Size = int | str


class Table:
    """One operation's table: rows by size, each written at once and synced.

    A last line without its newline was being written when the writer died; it is cut
    off. Raises ``ValueError`` when the file has other columns.
    """

    def __init__(self, path: Path, sizes: Sequence[str]) -> None:
        self.path, self.columns = path, (*sizes, *MEASURED)
        self._n_sizes = len(sizes)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        lines = self._whole_lines()
        if not lines:
            self._write(self.columns)
            lines = [",".join(self.columns)]
        if lines[0].split(",") != list(self.columns):
            raise ValueError(
                f"{path} has the columns {lines[0]}; expected "
                f"{','.join(self.columns)}: choose another folder"
            )
        self._known = {self._key(row) for row in csv.reader(lines[1:])}

    def has(self, size: Sequence[Size]) -> bool:
        """Whether a row of that size is there."""
        return tuple(map(str, size)) in self._known

    def append(
        self, size: Sequence[Size], kernel: str, spread: Spread, error: float
    ) -> None:
        """Add a row; it is on the disk when this returns."""
        if len(size) != self._n_sizes:
            raise ValueError(f"{size} has not the columns of {self.path}")
        times = (f"{x:.6g}" for x in (spread.p50, spread.p10, spread.p90))
        self._write((*size, kernel, *times, spread.repeats, f"{error:.3g}"))
        os.fsync(self._descriptor)
        self._known.add(tuple(map(str, size)))

    def __len__(self) -> int:
        return len(self._known)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _key(self, row: Sequence[str]) -> tuple[str, ...]:
        if len(row) != len(self.columns):
            raise ValueError(f"{self.path}: {row} has not its columns")
        return tuple(row[: self._n_sizes])

    def _whole_lines(self) -> list[str]:
        text = self.path.read_bytes()
        end = text.rfind(b"\n") + 1
        os.ftruncate(self._descriptor, end)
        return text[:end].decode().splitlines()

    def _write(self, values: Sequence[object]) -> None:
        line = StringIO()
        csv.writer(line, lineterminator="\n").writerow(values)
        data = line.getvalue().encode()
        if os.write(self._descriptor, data) != len(data):
            raise OSError(f"cannot write to {self.path}: the disk took part of a row")


def read_table(path: Path) -> dict[str, NDArray[Any]]:
    """Columns of a table, numbers as floats or whole numbers, words as text.

    Raises ``ValueError`` for a file without rows, or whose rows differ in length.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    if len(rows) < 2:
        raise ValueError(f"{path} has no rows")
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"{path} has rows of different lengths")
    return {name: _column(values) for name, *values in zip(*rows, strict=True)}


def _column(values: Sequence[str]) -> NDArray[Any]:
    for kind in (np.int64, np.float64):
        try:
            return np.array(values).astype(kind)
        except ValueError:
            continue
    return np.array(values)
