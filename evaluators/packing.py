"""Arrays as plain values, made into arrays and their columns where somebody looks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Packed = tuple[str, tuple[int, ...], bytes]
"""Type, shape and values of an array."""


def packed(array: NDArray[Any] | Packed) -> Packed:
    """An array as plain values; plain values are taken as they are."""
    if isinstance(array, tuple):
        return array
    return array.dtype.char, array.shape, array.tobytes()


def unpacked(array: NDArray[Any] | Packed) -> NDArray[Any]:
    """Inverse of ``packed``, read-only; an array is taken as it is."""
    if isinstance(array, np.ndarray):
        return array
    kind, shape, values = array
    return np.ndarray(shape, kind, values)


class Columns:
    """A small table given as one (n_columns, n) array: one attribute a column."""

    def __init__(self, names: Sequence[str], values: NDArray[Any]) -> None:
        self._values = values
        self.__dict__.update(zip(names, values, strict=True))

    def __len__(self) -> int:
        return int(self._values.shape[1])
