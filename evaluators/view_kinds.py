"""Which class shows an argument of a hook, by the argument's name."""

from collections.abc import Mapping
from typing import Any, Protocol, Self

from evaluators.views import Column, Engine, Parts, Running, Waiting
from evaluators.views_blocks import Blocks, Events
from evaluators.views_replicas import Movable, Replicas, Request


class View(Protocol):
    """A view that stands by itself: columns that cross as plain arrays.

    A few large arrays cross faster than many small ones. ``from_parts`` makes the same
    view of them, read-only, in the policy's process. ``Requests`` are made with the
    table that they are rows of as well, ``Engine`` with its facts.
    """

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
    "request": Request,
    "replicas": Replicas,
    "requests": Movable,
    "blocks": Blocks,
    "accessed": Events,
    "evicted": Events,
}
"""A ``View`` each, ``Requests`` or ``Engine``. What is not here is a plain float."""
