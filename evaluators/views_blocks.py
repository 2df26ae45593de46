"""What an eviction policy sees: KV blocks that nobody holds, and what befell blocks."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from evaluators.views import Column, Floats, Ints, Parts

UNKNOWN, TOOL, PERSON, PREEMPTED = range(4)
"""States of an owner: what the engine knows of the session that used a block last."""

BLOCK_INTS = (
    Column("id", "opaque content; equal contents have equal ids, also after eviction"),
    Column("depth", "its place in the prompt: blocks before it"),
    Column("children", "blocks in memory that continue it"),
    Column("hits", "requests that found it since it is in memory"),
    Column("tenant", "customer of the request that used it last"),
    Column(
        "owner",
        "the request that used it last: 0 nothing is known of what follows it, 1 it "
        "called a tool, so its session goes on, 2 it continued a conversation with a "
        "person, who may come back, 3 it was preempted and waits to go on",
    ),
)
BLOCK_FLOATS = (
    Column("inserted_s", "when it was first let go of"),
    Column("last_used_s", "when it was last let go of"),
    Column("recompute_s", "engine time to compute it again"),
)
EVENT_INTS = (
    Column("id", "opaque content, as in blocks"),
    Column("hit", "1 if a request found it, 0 if it is new (first let go of)"),
)
EVENT_FLOATS = (Column("at_s", "when"),)


class _Table:
    """Columns of shape (n,), read-only, of two arrays: whole numbers and others."""

    int_columns: ClassVar[Sequence[Column]]
    float_columns: ClassVar[Sequence[Column]]
    n_parts: ClassVar[int] = 2

    def __init__(self, ints: Ints, floats: Floats) -> None:
        ints.flags.writeable = floats.flags.writeable = False
        self._parts = (ints, floats)
        values = self.__dict__
        for columns, rows in ((self.int_columns, ints), (self.float_columns, floats)):
            for column, row in zip(columns, rows, strict=True):
                values[column.name] = row

    def __len__(self) -> int:
        return int(self._parts[0].shape[1])

    def __getattr__(self, name: str) -> NDArray[Any]:
        known = ", ".join(column.name for column in self.columns())
        kind = type(self).__name__.lower()
        raise AttributeError(f"{kind} has no column {name!r}; it has {known}")

    def parts(self) -> Parts:
        """The arrays that make this view again on the other side."""
        return self._parts

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """Inverse of ``parts``."""
        return cls(*parts)

    @classmethod
    def columns(cls) -> tuple[Column, ...]:
        """Every column of this view."""
        return (*cls.float_columns, *cls.int_columns)


class Blocks(_Table):
    """Full KV blocks that nobody holds, the longest unused first."""

    int_columns = BLOCK_INTS
    float_columns = BLOCK_FLOATS


class Events(_Table):
    """What befell blocks since the last question, in order."""

    int_columns = EVENT_INTS
    float_columns = EVENT_FLOATS


def events(ids: Ints, hits: Sequence[int], at_s: Floats) -> Events:
    """Events of these contents at these times."""
    return Events(np.array([ids, hits], dtype=np.int64), at_s.reshape(1, -1))
