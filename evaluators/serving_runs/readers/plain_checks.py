"""What a run of one's own must hold, checked before it is believed."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from evaluators.serving_runs.readers.files import table, text

NEEDED = ("name", "model", "gpu", "tp", "max_running", "max_step_tokens")
COUNTS = ("tp", "max_running", "max_step_tokens", "bits", "kv_bits", "block_tokens")
OPEN_COUNTS = ("kv_blocks", "concurrency")
FLAGS = ("prefix_caching", "is_asynchronous")
WORDS = ("name", "model", "gpu", "engine", "workload", "sampling")
KEYS = {*NEEDED, *COUNTS, *OPEN_COUNTS, *FLAGS, *WORDS, "cut_s"}
MOST_COUNTED = 1 << 20
"""Of what the simulator keeps a table for, as tokens of a step and requests in it."""
MOST = dict.fromkeys(COUNTS, MOST_COUNTED) | dict.fromkeys(OPEN_COUNTS, 2**31 - 1)
CELLS = {"prompt_tokens": 1 << 24, "output_tokens": 1 << 24}
"""Columns of counts and their largest, more than any model's context."""
LONGEST_S = 4_000_000
"""46 days: int64 picoseconds hold twice that."""
LETTERS = 40
"""Of a cell that a line quotes."""
LATEST_S = 10_000_000_000
"""Arrivals may be told in seconds since 1970, or since any other moment."""

Row = Mapping[str, str]


def described(path: Path) -> dict[str, Any]:
    """The description of a run; ``ValueError`` names the key that cannot be."""
    told = _told(path)
    missing = [key for key in NEEDED if key not in told]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    unknown = sorted(told.keys() - KEYS)
    if unknown:
        raise ValueError(f"{path} has unknown keys {', '.join(unknown)}")
    for key, value in told.items():
        if not _is_right(key, value):
            raise ValueError(
                f"{path}: {key} is {_shown(value)}; expected {_expected(key)}"
            )
    return told


def _told(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}; expected a JSON object in UTF-8") from None
    if not isinstance(told, dict):
        raise ValueError(
            f"{path} holds a {type(told).__name__}; expected a JSON object"
        )
    return told


def checked_rows(path: Path) -> list[Row]:
    """Rows of the requests; ``ValueError`` names the line and the cell that cannot be.

    A row that is cut, or longer than the header, is one of these.
    """
    rows = table(path)
    if not rows:
        raise ValueError("no requests below the header")
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ValueError(f"line {line} has not as many cells as the header")
        _check_counts(line, row)
        _check_times(line, row)
    _check_span(cast("list[Row]", rows))
    return cast("list[Row]", rows)


def _check_counts(line: int, row: Row) -> None:
    for key, most in CELLS.items():
        cell = row[key]
        is_short = cell.isdecimal() and len(cell) <= len(str(most))
        if not is_short or not 1 <= int(cell) <= most:
            raise ValueError(
                f"line {line}: {key} is {_shown(cell)}; expected an integer, 1 to "
                f"{most}"
            )


def _check_times(line: int, row: Row) -> None:
    if not 0 <= _seconds(row["arrived_s"]) <= LATEST_S:
        raise ValueError(
            f"line {line}: arrived_s is {_shown(row['arrived_s'])}; expected seconds "
            f"from 0 to {LATEST_S}"
        )
    ttft, e2e = row["ttft_s"], row["e2e_s"]
    if ttft and e2e and not 0 < _seconds(ttft) <= _seconds(e2e) <= LONGEST_S:
        raise ValueError(
            f"line {line}: ttft_s {_shown(ttft)}, e2e_s {_shown(e2e)}; expected "
            f"seconds, above 0, in this order and at most {LONGEST_S}, or empty cells "
            "of a request that failed"
        )


def _check_span(rows: list[Row]) -> None:
    arrived = [float(row["arrived_s"]) for row in rows]
    latest = max(range(len(rows)), key=arrived.__getitem__)
    if arrived[latest] - min(arrived) > LONGEST_S:
        raise ValueError(
            f"line {latest + 2}: arrived_s is {rows[latest]['arrived_s']!r}, the "
            f"earliest {min(arrived):g}; expected at most {LONGEST_S} s between them"
        )


def _shown(value: object) -> str:
    """The value, cut where it is long."""
    told = repr(value)
    return told if len(told) <= LETTERS else f"{told[:LETTERS]}..."


def _seconds(cell: str) -> float:
    """The finite number in a cell; -1 where there is none."""
    try:
        found = float(cell)
    except ValueError:
        return -1.0
    return found if math.isfinite(found) else -1.0


def _is_right(key: str, value: object) -> bool:
    if key in OPEN_COUNTS and value is None:
        return True
    if key in COUNTS or key in OPEN_COUNTS:
        return type(value) is int and 1 <= value <= MOST[key]
    if key in FLAGS:
        return isinstance(value, bool)
    if key in WORDS:
        return isinstance(value, str) and bool(value)
    return type(value) in (int, float) and 0 <= cast(float, value) <= LONGEST_S


def _expected(key: str) -> str:
    if key in FLAGS:
        return "true or false"
    if key in WORDS:
        return "words"
    if key == "cut_s":
        return f"seconds from 0 to {LONGEST_S}"
    return f"an integer, 1 to {MOST[key]}"
