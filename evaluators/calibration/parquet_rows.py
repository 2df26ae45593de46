"""Columns of a parquet file of measured times, each checked before it is believed."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluators.calibration.curves import Columns

REPEAT_SPREAD = 1.5
"""Rows of one shape are repeats of a measurement within this factor, else a fault."""


def columns(path: Path) -> dict[str, NDArray[np.generic]]:
    """All columns of a parquet file."""
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415 (large, optional)
    except ImportError:
        raise ValueError(
            f"{path} needs pyarrow to be read: pip install 'adrs-harness[aic]'"
        ) from None
    try:
        read_table = parquet.read_table(path)
    except (ArrowException, OSError) as error:
        raise ValueError(f"{path} is no whole parquet file: {error}") from error
    if not read_table.num_rows:
        raise ValueError(f"{path} holds no rows")
    names = read_table.column_names
    return {name: read_table.column(name).to_numpy() for name in names}


def column(
    path: Path, found: dict[str, NDArray[np.generic]], name: str
) -> NDArray[np.generic]:
    """The column of that name; raises ``ValueError`` naming those there are."""
    if name not in found:
        raise ValueError(f"{path} has no column {name!r}; it has {sorted(found)}")
    return found[name]


def check_values(path: Path, table: Columns) -> None:
    """Raise ``ValueError`` when times are not times, or rows of a shape disagree."""
    seconds = np.asarray(table["seconds"], float)
    if not (np.isfinite(seconds) & (seconds > 0)).all():
        raise ValueError(f"{path}: latency must be a positive number in every row")
    keys = [_codes(values) for name, values in table.items() if _is_key(name)]
    _, where, counts = np.unique(
        np.stack(keys, 1), axis=0, return_inverse=True, return_counts=True
    )
    if counts.max() == 1:
        return
    order = np.lexsort((seconds, where))
    last = np.cumsum(counts) - 1
    spread = seconds[order][last] / seconds[order][last - counts + 1]
    if spread.max() > REPEAT_SPREAD:
        n = int((spread > REPEAT_SPREAD).sum())
        raise ValueError(
            f"{path}: {n} shapes have rows that differ by a factor of "
            f"{spread.max():.3g}"
        )


def _is_key(name: str) -> bool:
    return name not in {"seconds", "latency", "power", "kernel_source"}


def _codes(values: NDArray[np.generic]) -> NDArray[np.int64]:
    return np.asarray(np.unique(values, return_inverse=True)[1], np.int64)
