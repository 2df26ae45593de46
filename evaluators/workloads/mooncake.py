"""Reader of Mooncake's traces: JSON lines of timestamp (ms), lengths and block ids."""

import json
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluators.workloads.annotations import PREDICTION_ERROR
from evaluators.workloads.recorded import Stamp, lines, recording, stamp, token_column
from evaluators.workloads.replay import Recording, Replay, find


def build(
    trace: str = "mooncake_conversation",
    data: str | None = None,
    stamp_s: float = 3.0,
    tenants: int = 6,
    prediction_error: float = PREDICTION_ERROR,
) -> Replay:
    """Replay of the trace of that name; ``data`` is its file, or the folder it is in.

    ``stamp_s`` is the grid of its timestamps, over which arrivals are spread (0: none).
    Prefix block ids are not used yet. Raises ``FileNotFoundError`` when missing.
    """
    if not 0 <= stamp_s < float("inf"):
        raise ValueError(f"stamp_s is {stamp_s}; expected 0 or above")
    upstream = trace.replace("mooncake_", "") + "_trace.jsonl"
    path = find(trace, (f"{trace}.jsonl", f"{trace}_trace.jsonl", upstream), data)
    return Replay(trace, partial(read, path, stamp_s), tenants, prediction_error)


def read(path: Path, stamp_s: float) -> Recording:
    """The recording in a file, plain or .gz; parsed once while it does not change.

    Raises ``ValueError`` naming the row, column and value that cannot be used.
    """
    return _parsed(stamp(path), stamp_s)


@lru_cache(maxsize=4)
def _parsed(file: Stamp, stamp_s: float) -> Recording:
    rows = [_row(file.path, i, line) for i, line in enumerate(lines(file.path), 1)]
    times, prompts, outputs = zip(*rows, strict=True)
    tokens = (
        token_column(file.path, "input_length", prompts),
        token_column(file.path, "output_length", outputs),
    )
    return recording(_seconds(file.path, times), tokens, stamp_s)


def _row(path: str, number: int, line: str) -> tuple[object, object, object]:
    try:
        record = json.loads(line)
        return record["timestamp"], record["input_length"], record["output_length"]
    except (ValueError, TypeError):
        raise ValueError(
            f"{path} row {number}: {line[:60]!r} is not a JSON object"
        ) from None
    except KeyError as error:
        raise ValueError(f"{path} row {number}: column {error} is missing") from None


def _seconds(path: str, times: tuple[object, ...]) -> NDArray[np.float64]:
    for row, time in enumerate(times):
        is_number = isinstance(time, int | float) and not isinstance(time, bool)
        if not (is_number and 0 <= float(str(time)) < 1e15):
            raise ValueError(
                f"{path} row {row + 1}: timestamp is {time}; expected milliseconds, "
                "0 or above"
            )
    return np.array(times, dtype=np.float64) / 1e3
