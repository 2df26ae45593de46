"""Class attributes by which a policy says how it wants to be asked."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.evaluation import PolicyError

MAX_MANNERS = 16


class Manner(NamedTuple):
    """One attribute, what it is without one, and what it may be.

    A flag (whose ``default`` is a bool) takes whatever Python finds true or false;
    any other takes one of ``words``, or a number where ``has_number``. ``expected``
    says so in an error. The range of a number is the engine's to check.
    """

    name: str
    default: str | float | bool
    words: tuple[str, ...] = ()
    has_number: bool = False
    expected: str = ""


def told(policy: object, manners: Sequence[Manner]) -> NDArray[np.float64]:
    """A policy's manners as (index into the words or past them, number), a row each.

    Raises ``PolicyError`` "interface" for an attribute that is neither.
    """
    rows = [_row(getattr(policy, m.name, m.default), m) for m in manners]
    return np.array(rows, dtype=np.float64).reshape(len(manners), 2)


def heard(
    rows: NDArray[np.float64], manners: Sequence[Manner]
) -> Mapping[str, str | float | bool]:
    """Inverse of ``told``, by name; raises ``ValueError`` for what it never makes."""
    if rows.shape != (len(manners), 2) or rows.dtype != np.float64:
        raise ValueError(f"{len(manners)} manners as {rows.dtype} {rows.shape}")
    return {
        manner.name: _value(code, number, manner)
        for manner, (code, number) in zip(manners, rows.tolist(), strict=True)
    }


def _row(value: object, manner: Manner) -> tuple[float, float]:
    n_words = len(manner.words)
    if isinstance(manner.default, bool):
        return n_words, float(bool(value))
    if isinstance(value, str) and value in manner.words:
        return manner.words.index(value), 0.0
    if manner.has_number and isinstance(value, int | float):
        try:
            return n_words, float(value)
        except OverflowError:
            pass
    raise PolicyError(
        "interface", f"{manner.name} is {value!r}; expected {manner.expected}"
    )


def _value(code: float, number: float, manner: Manner) -> str | float | bool:
    if code in range(len(manner.words)):
        return manner.words[int(code)]
    is_flag = isinstance(manner.default, bool)
    if code != len(manner.words) or not (is_flag or manner.has_number):
        raise ValueError(f"{manner.name} cannot be {code}, {number}")
    return bool(number) if is_flag else number
