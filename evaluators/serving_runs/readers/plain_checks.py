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

Row = Mapping[str, str]


def described(path: Path) -> dict[str, Any]:
    """The description of a run; ``ValueError`` names the key that cannot be."""
    told = cast("dict[str, Any]", json.loads(text(path)))
    missing = [key for key in NEEDED if key not in told]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    unknown = sorted(told.keys() - KEYS)
    if unknown:
        raise ValueError(f"{path} has unknown keys {', '.join(unknown)}")
    for key, value in told.items():
        if not _is_right(key, value):
            raise ValueError(f"{path}: {key} is {value!r}; expected {_expected(key)}")
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
        for key in ("prompt_tokens", "output_tokens"):
            if not row[key].isdecimal() or int(row[key]) < 1:
                raise ValueError(
                    f"line {line}: {key} is {row[key]!r}; expected an integer, 1 or "
                    "more"
                )
        _check_times(line, row)
    return cast("list[Row]", rows)


def _check_times(line: int, row: Row) -> None:
    if _seconds(row["arrived_s"]) < 0:
        raise ValueError(
            f"line {line}: arrived_s is {row['arrived_s']!r}; expected seconds from 0"
        )
    ttft, e2e = row["ttft_s"], row["e2e_s"]
    if ttft and e2e and not 0 < _seconds(ttft) <= _seconds(e2e):
        raise ValueError(
            f"line {line}: ttft_s {ttft!r}, e2e_s {e2e!r}; expected seconds, above 0 "
            "and in this order, or empty cells of a request that failed"
        )


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
        return type(value) is int and value >= 1
    if key in FLAGS:
        return isinstance(value, bool)
    if key in WORDS:
        return isinstance(value, str) and bool(value)
    return type(value) in (int, float) and 0 <= cast(float, value) < math.inf


def _expected(key: str) -> str:
    if key in FLAGS:
        return "true or false"
    if key in WORDS:
        return "words"
    return "seconds from 0" if key == "cut_s" else "an integer, 1 or more"
