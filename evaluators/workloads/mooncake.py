"""Reader of Mooncake's traces: JSON lines of timestamp (ms), lengths and block ids."""

import json
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.workloads.annotations import PREDICTION_ERROR
from evaluators.workloads.prefixes import Prefixes
from evaluators.workloads.recorded import Stamp, lines, recording, stamp, token_column
from evaluators.workloads.relations import prefixes_of
from evaluators.workloads.replay import Recording, Replay, find

BLOCK_TOKENS = 512
"""Tokens of a block of the recorded ``hash_ids``."""


class Row(NamedTuple):
    """A line of the file: milliseconds, tokens, ids of 512-token blocks in order."""

    timestamp: object
    input_length: object
    output_length: object
    hash_ids: object


def build(
    trace: str = "mooncake_conversation",
    data: str | None = None,
    stamp_s: float = 3.0,
    tenants: int = 6,
    prediction_error: float = PREDICTION_ERROR,
) -> Replay:
    """Replay of the trace of that name; ``data`` is its file, or the folder it is in.

    ``stamp_s`` is the grid of its timestamps, over which arrivals are spread (0: none).
    Raises ``FileNotFoundError`` when missing.
    """
    if not 0 <= stamp_s < float("inf"):
        raise ValueError(f"stamp_s is {stamp_s}; expected 0 or above")
    upstream = trace.replace("mooncake_", "") + "_trace.jsonl"
    path = find(trace, (f"{trace}.jsonl", f"{trace}_trace.jsonl", upstream), data)
    return Replay(trace, partial(read, path, stamp_s), tenants, prediction_error)


def read(path: Path, stamp_s: float) -> Recording:
    """The recording in a file, plain or .gz; parsed once while it does not change.

    Prefixes are the full blocks of the prompts: a recorded id may also stand for the
    last tokens, which fill no block. Raises ``ValueError`` naming the row, column and
    value that cannot be used.
    """
    return _parsed(stamp(path), stamp_s)


def blocks(path: Path) -> Prefixes:
    """All recorded block ids of each line, in the file's order, for cache studies.

    The last block of a prompt may be filled in part only. Raises as ``read`` does.
    """
    rows = _rows(stamp(path))
    return prefixes_of(BLOCK_TOKENS, [_ids(str(path), i, row) for i, row in rows])


@lru_cache(maxsize=4)
def _parsed(file: Stamp, stamp_s: float) -> Recording:
    rows = _rows(file)
    times, prompts, outputs, _ = zip(*(row for _, row in rows), strict=True)
    tokens = (
        token_column(file.path, "input_length", prompts),
        token_column(file.path, "output_length", outputs),
    )
    n_full = tokens[0] // BLOCK_TOKENS
    full = [_ids(file.path, i, row)[: n_full[i - 1]] for i, row in rows]
    prefixes = prefixes_of(BLOCK_TOKENS, full)
    return recording(_seconds(file.path, times), tokens, stamp_s, prefixes)


def _rows(file: Stamp) -> list[tuple[int, Row]]:
    """Numbered lines."""
    numbered = enumerate(lines(file.path), 1)
    return [(number, _row(file.path, number, line)) for number, line in numbered]


def _row(path: str, number: int, line: str) -> Row:
    try:
        record = json.loads(line)
        return Row(*(record[name] for name in Row._fields))
    except (ValueError, TypeError):
        raise ValueError(
            f"{path} row {number}: {line[:60]!r} is not a JSON object"
        ) from None
    except KeyError as error:
        raise ValueError(f"{path} row {number}: column {error} is missing") from None


def _ids(path: str, number: int, row: Row) -> list[int]:
    ids = row.hash_ids
    if not isinstance(ids, list) or not all(type(item) is int for item in ids):
        raise ValueError(
            f"{path} row {number}: hash_ids is {str(ids)[:40]}; expected a list of "
            "whole numbers"
        )
    return ids


def _seconds(path: str, times: tuple[object, ...]) -> NDArray[np.float64]:
    for row, time in enumerate(times):
        is_number = isinstance(time, int | float) and not isinstance(time, bool)
        if not (is_number and 0 <= float(str(time)) < 1e15):
            raise ValueError(
                f"{path} row {row + 1}: timestamp is {time}; expected milliseconds, "
                "0 or above"
            )
    return np.array(times, dtype=np.float64) / 1e3
