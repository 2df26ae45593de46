"""What a policy sees: frozen columns of requests and the scalars of one engine.

Both sides of the process boundary hold a ``Table`` of the public facts of requests; a
view is rows of it. The trusted side sends only the rows that changed, so that the
policy's process holds a mirror of what an engine would know by now, and nothing more.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Parts = tuple[NDArray[Any], ...]
"""Arrays of a view as they travel: int64 or float64, one or two dimensions."""


class Column(NamedTuple):
    """Name and meaning of one column or scalar of a view, as briefs print it."""

    name: str
    meaning: str


REQUEST_INTS = (
    Column("id", "opaque identity"),
    Column("prompt_tokens", "length of the prompt"),
    Column("predicted_tokens", "predicted total output tokens, with a stated error"),
    Column("tenant", "index of the customer, into engine.tenants"),
    Column("slo_class", "index of the service class, into engine.classes"),
    Column("generated_tokens", "output tokens so far (above 0 if preempted)"),
    Column("blocks_needed", "KV blocks of prompt and generated tokens"),
)
REQUEST_FLOATS = (
    Column("arrived_s", "arrival time"),
    Column("first_token_due_s", "arrival plus the TTFT objective of its class"),
    Column("last_token_s", "when it last emitted a token; nan before the first"),
)
RUNNING_OWN = (
    Column("computed_tokens", "tokens whose KV is in memory"),
    Column("blocks_held", "KV blocks it holds"),
)
ENGINE_SCALARS = (
    Column("now_s", "time now"),
    Column("free_blocks", "KV blocks free"),
    Column("n_waiting", "requests waiting"),
    Column("n_running", "requests running"),
    Column("n_decoding", "running requests past their prefill"),
    Column("context_tokens", "KV tokens of the decoding requests"),
    Column("last_step_s", "how long the last step took; 0 before the first"),
)
ENGINE_CONSTANTS = (
    Column("total_blocks", "KV blocks in all"),
    Column("block_tokens", "tokens in a KV block"),
    Column("max_running", "most requests that may run at once"),
    Column("max_step_tokens", "most tokens a step may compute"),
    Column("prediction_error", "standard deviation of log(predicted / true output)"),
)
TENANT_COLUMNS = (
    Column("prompt_tokens_served", "prompt tokens computed for the tenant so far"),
    Column("output_tokens_served", "output tokens emitted for the tenant so far"),
    Column("waiting", "its waiting requests"),
    Column("running", "its running requests"),
)
CLASS_COLUMNS = (
    Column("ttft_s", "objective for the time to first token"),
    Column("tpot_s", "objective for the mean time per later token"),
    Column("gap_s", "objective for the longest gap between tokens"),
)

_INT_INDEX = {column.name: i for i, column in enumerate(REQUEST_INTS)}
_FLOAT_INDEX = {column.name: i for i, column in enumerate(REQUEST_FLOATS)}


_NO_CHANGE: Parts = (
    np.zeros(0, dtype=np.int64),
    np.zeros((len(REQUEST_INTS), 0), dtype=np.int64),
    np.zeros((len(REQUEST_FLOATS), 0)),
)


class Table:
    """Public facts of requests, a row each; ``changed`` lists rows not yet sent."""

    __slots__ = ("changed", "floats", "ints")

    def __init__(self, rows: int) -> None:
        self.ints: Ints = np.zeros((len(REQUEST_INTS), rows), dtype=np.int64)
        self.floats: Floats = np.zeros((len(REQUEST_FLOATS), rows))
        self.changed: list[int] = []

    def drain(self) -> Parts:
        """Rows changed since the last call with their values: (rows, ints, floats)."""
        if not self.changed:
            return _NO_CHANGE
        rows = np.array(self.changed, dtype=np.int64)
        self.changed.clear()
        return rows, self.ints.take(rows, axis=1), self.floats.take(rows, axis=1)

    def apply(self, parts: Parts) -> None:
        """Take over what ``drain`` gave on the other side, growing as needed."""
        rows, ints, floats = parts
        if not rows.size:
            return
        # Most questions bring one row, for which plain indexing is much faster.
        last = int(rows.max() if rows.size > 1 else rows[0])
        where = rows if rows.size > 1 else slice(last, last + 1)
        if last >= self.ints.shape[1]:
            self._grow(last + 1)
        self.ints[:, where] = ints
        self.floats[:, where] = floats

    def _grow(self, rows: int) -> None:
        capacity = self.ints.shape[1]
        extra = max(capacity, rows - capacity)
        self.ints = np.pad(self.ints, ((0, 0), (0, extra)))
        self.floats = np.pad(self.floats, ((0, 0), (0, extra)))


class Requests:
    """Columns over some requests, shape (n,) each, read-only, gathered when asked."""

    own_columns: ClassVar[Sequence[Column]] = ()
    n_parts: ClassVar[int] = 1

    def __init__(self, table: Table, rows: Ints, own: Parts = ()) -> None:
        self._table = table
        self._rows = rows
        self._own = own

    def __len__(self) -> int:
        return len(self._rows)

    def __getattr__(self, name: str) -> NDArray[Any]:
        if name in _INT_INDEX:
            column: NDArray[Any] = self._table.ints[_INT_INDEX[name]].take(self._rows)
        elif name in _FLOAT_INDEX:
            column = self._table.floats[_FLOAT_INDEX[name]].take(self._rows)
        else:
            column = self._own_column(name)
        column.flags.writeable = False
        self.__dict__[name] = column
        return column

    def _own_column(self, name: str) -> NDArray[Any]:
        for column, values in zip(self.own_columns, self._own, strict=False):
            if column.name == name:
                return values
        raise AttributeError(
            f"{type(self).__name__.lower()} has no column {name!r}; it has "
            + ", ".join(column.name for column in self.columns())
        )

    def parts(self) -> Parts:
        """The arrays that, with the table, make this view again on the other side."""
        return (self._rows, *self._own)

    @classmethod
    def from_parts(cls, table: Table, parts: Parts) -> Self:
        """Inverse of ``parts``."""
        return cls(table, parts[0], parts[1:])

    @classmethod
    def columns(cls) -> tuple[Column, ...]:
        """Every column of this view."""
        return (*REQUEST_FLOATS, *REQUEST_INTS, *cls.own_columns)


def table_of(view: Requests) -> Table:
    """The table that a view shows rows of."""
    return view._table


class Waiting(Requests):
    """Requests waiting to be admitted, in order of arrival."""


class Running(Requests):
    """Requests that hold KV memory, in running order (the engine's own victim is last).

    ``generated_tokens`` and ``last_token_s`` are as of now for these.
    """

    own_columns = (
        *RUNNING_OWN,
        REQUEST_INTS[_INT_INDEX["generated_tokens"]],
        REQUEST_FLOATS[_FLOAT_INDEX["last_token_s"]],
    )
    n_parts = 1 + len(own_columns)

    def __getattr__(self, name: str) -> NDArray[Any]:
        if name in ("generated_tokens", "last_token_s"):
            return self._own_column(name)
        return super().__getattr__(name)

    @classmethod
    def columns(cls) -> tuple[Column, ...]:
        """Every column of this view."""
        return (*REQUEST_FLOATS, *REQUEST_INTS, *RUNNING_OWN)


class Columns:
    """A small table given as one (n_columns, n) array: one attribute a column."""

    def __init__(self, names: Sequence[Column], values: NDArray[Any]) -> None:
        self._values = values
        for column, row in zip(names, values, strict=True):
            self.__dict__[column.name] = row

    def __len__(self) -> int:
        return int(self._values.shape[1])


class EngineFacts(NamedTuple):
    """What never changes of an engine during a scenario.

    ``constants`` follow ``ENGINE_CONSTANTS`` (float64), ``classes`` is (3, n_classes).
    """

    constants: Floats
    classes: Floats


class Engine:
    """Scalars of one engine, its tenants and its service classes, as of now."""

    n_parts: ClassVar[int] = 2

    def __init__(self, facts: EngineFacts, scalars: Floats, tenants: Ints) -> None:
        self.facts = facts
        self._scalars = scalars
        self._tenants = tenants
        values = self.__dict__
        for column, value in zip(ENGINE_SCALARS, scalars.tolist(), strict=True):
            values[column.name] = value
        constants = facts.constants.tolist()
        for column, value in zip(ENGINE_CONSTANTS, constants, strict=True):
            values[column.name] = value

    def __getattr__(self, name: str) -> Columns:
        if name == "tenants":
            table = Columns(TENANT_COLUMNS, self._tenants)
        elif name == "classes":
            table = Columns(CLASS_COLUMNS, self.facts.classes)
        else:
            columns = (*ENGINE_SCALARS, *ENGINE_CONSTANTS)
            known = ", ".join(column.name for column in columns)
            raise AttributeError(
                f"engine has no {name!r}; it has {known}, tenants, classes"
            )
        self.__dict__[name] = table
        return table

    def parts(self) -> Parts:
        """The arrays that, with the facts, make this view again on the other side."""
        return self._scalars, self._tenants

    @classmethod
    def from_parts(cls, facts: EngineFacts, parts: Parts) -> Self:
        """Inverse of ``parts``."""
        return cls(facts, *parts)
