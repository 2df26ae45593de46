"""Which class shows an argument of a hook, by the argument's name."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

from evaluators.views import Column, Engine, Parts, Requests, Running, Waiting


class View(Protocol):
    """A view that stands by itself: columns that go as ``n_parts`` plain arrays.

    ``parts`` are int64 or float64 of at most two dimensions; few large ones travel
    faster than many small ones. ``from_parts`` makes the same view of them in the
    policy's process, and must trust nothing but their number. ``Requests`` are made
    with the table that they are rows of as well, ``Engine`` with its facts.
    """

    n_parts: ClassVar[int]

    def parts(self) -> Parts:
        """The arrays that make this view again on the other side."""
        ...

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """Inverse of ``parts``."""
        ...

    @classmethod
    def columns(cls) -> tuple[Column, ...]:
        """Every column of this view, as briefs print them."""
        ...


KINDS: Mapping[str, type[Any]] = {
    "waiting": Waiting,
    "running": Running,
    "engine": Engine,
}
"""A ``View`` each, ``Requests`` or ``Engine``. What is not here is a plain float."""


def is_of_requests(name: str) -> bool:
    """Whether an argument shows rows of the table of requests."""
    return issubclass(KINDS.get(name, object), Requests)
