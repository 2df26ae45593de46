"""The only file that imports numba."""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """The function as machine code, made with the entry that calls it."""
    return cast(Function, njit(_nrt=False, error_model="numpy")(function))


def stored(function: Function) -> Function:
    """An entry as machine code, kept on disk where a folder for it can be written."""
    try:
        return cast(
            Function, njit(cache=True, _nrt=False, error_model="numpy")(function)
        )
    except RuntimeError:
        return cast(Function, njit(_nrt=False, error_model="numpy")(function))
