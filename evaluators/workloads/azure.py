"""Reader of Azure's LLM inference traces: TIMESTAMP,ContextTokens,GeneratedTokens."""

import csv
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluators.workloads.annotations import PREDICTION_ERROR
from evaluators.workloads.recorded import Stamp, lines, recording, stamp, token_column
from evaluators.workloads.replay import Recording, Replay, find

COLUMNS = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]


def build(
    trace: str = "azure_llm_2023_conv",
    data: str | None = None,
    tenants: int = 6,
    prediction_error: float = PREDICTION_ERROR,
) -> Replay:
    """Replay of the trace of that name; ``data`` is its file, or the folder it is in.

    The file is read at the first draw. Raises ``FileNotFoundError`` when missing.
    """
    upstream = trace.replace("azure_llm_2023_", "AzureLLMInferenceTrace_")
    path = find(trace, (f"{trace}.csv", f"{upstream}.csv"), data)
    return Replay(trace, partial(read, path), tenants, prediction_error)


def read(path: Path) -> Recording:
    """The recording in a file, plain or .gz; parsed once while it does not change.

    Raises ``ValueError`` naming the row, column and value that cannot be used.
    """
    return _parsed(stamp(path))


@lru_cache(maxsize=4)
def _parsed(file: Stamp) -> Recording:
    header, *rows = csv.reader(lines(file.path))
    if header != COLUMNS:
        raise ValueError(f"{file.path} has columns {header}; expected {COLUMNS}")
    for number, row in enumerate(rows, 1):
        if len(row) != len(COLUMNS):
            raise ValueError(
                f"{file.path} row {number}: {len(row)} values; expected {len(COLUMNS)}"
            )
    if not rows:
        raise ValueError(f"{file.path} holds no request; expected at least one")
    times, prompts, outputs = zip(*rows, strict=True)
    tokens = (
        token_column(file.path, "ContextTokens", prompts),
        token_column(file.path, "GeneratedTokens", outputs),
    )
    return recording(_seconds(file.path, times), tokens, stamp_s=0.0)


def _seconds(path: str, times: tuple[str, ...]) -> NDArray[np.float64]:
    """Seconds since the earliest stamp; an offset of 0 may be written out."""
    plain = [time.strip().removesuffix("+00:00") for time in times]
    try:
        stamps = np.array(plain, dtype="datetime64[ns]")
    except ValueError:
        row = next(i for i, time in enumerate(plain) if not _is_time(time))
        raise ValueError(
            f"{path} row {row + 1}: TIMESTAMP is {times[row]}; expected a time such as "
            "2023-11-16 18:15:46.680"
        ) from None
    if np.isnat(stamps).any():
        row = int(np.flatnonzero(np.isnat(stamps))[0])
        raise ValueError(f"{path} row {row + 1}: TIMESTAMP is missing")
    return np.asarray((stamps - stamps.min()).astype(np.int64) / 1e9)


def _is_time(text: str) -> bool:
    try:
        np.datetime64(text, "ns")
    except ValueError:
        return False
    return True
