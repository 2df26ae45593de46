"""Text of a recorded trace into checked columns; every error names row and column."""

import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.workloads.prefixes import Prefixes
from evaluators.workloads.relations import taken
from evaluators.workloads.replay import Recording
from evaluators.workloads.trace import Ints

LONGEST_TOKENS = 2**31


class Stamp(NamedTuple):
    """Identity of a file's content for caching: path, size and time of change."""

    path: str
    size: int
    changed_ns: int


def stamp(path: Path) -> Stamp:
    """The file as it is now; raises ``OSError`` where there is none."""
    status = path.stat()
    return Stamp(str(path), status.st_size, status.st_mtime_ns)


def lines(path: str) -> list[str]:
    """Lines of a plain or .gz text file without blank ones.

    Raises ``ValueError`` when it cannot be read as such, or holds nothing.
    """
    opener = gzip.open if path.endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            found = [line for line in file.read().splitlines() if line.strip()]
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is not a readable trace: {error}") from None
    if not found:
        raise ValueError(f"{path} is empty; expected a recorded trace")
    return found


def token_column(path: str, name: str, values: Sequence[object]) -> Ints:
    """Whole numbers from 1; raises ``ValueError`` naming the first row that is not."""
    numbers = np.zeros(len(values), dtype=np.int64)
    for row, value in enumerate(values):
        number = _whole(value)
        if number is None or not 1 <= number < LONGEST_TOKENS:
            raise ValueError(
                f"{path} row {row + 1}: {name} is {value}; expected a whole number of "
                "tokens, at least 1"
            )
        numbers[row] = number
    return numbers


def recording(
    arrived_s: NDArray[np.float64],
    tokens: Iterable[Ints],
    stamp_s: float,
    prefixes: Prefixes | None = None,
) -> Recording:
    """Columns sorted by time, rows of equal stamps in the file's order."""
    order = np.argsort(arrived_s, kind="stable")
    prompt, output = (column[order] for column in tokens)
    chains = None if prefixes is None else taken(prefixes, order)
    return Recording(arrived_s[order], prompt, output, stamp_s, chains)


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None
