"""The only file that imports numba."""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])

PLAIN = {"_nrt": False, "error_model": "numpy"}
"""Arrays are borrowed from the caller, so that nobody counts references to them, which
takes most of the time otherwise; numbers divide as in C."""
INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Not called from Python, which takes a third off the time to compile."""


def compiled(function: Function) -> Function:
    """The function as machine code, made with the entry that calls it."""
    return cast(Function, njit(**PLAIN, **INNER)(function))


def stored(function: Function) -> Function:
    """An entry as machine code, kept on disk where a folder for it can be written."""
    try:
        return cast(Function, njit(cache=True, **PLAIN)(function))
    except RuntimeError:
        return cast(Function, njit(**PLAIN)(function))
