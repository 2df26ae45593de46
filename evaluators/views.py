"""What a policy sees: frozen columns of requests and the scalars of one engine.

Both sides of the process boundary hold a ``Table`` of the public facts of requests; a
view is rows of it. The trusted side sends only the rows that changed, so that the
policy's process holds a mirror of what an engine would know by now, and nothing more.
"""

import functools
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.packing import Columns, Packed, packed, unpacked

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
    Column("prefix", "identity of the prompt's first block; -1 if none is known"),
    Column("session", "identity of the session it is part of; -1 if of none"),
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
    Column("host_blocks", "KV blocks that host memory holds for preempted requests"),
    Column("host_copy_s", "time to move a KV block to host memory, or back"),
)
TENANT_COLUMNS = (
    Column("prompt_tokens_served", "prompt tokens computed for the tenant so far"),
    Column("output_tokens_served", "output tokens emitted for the tenant so far"),
    Column("waiting", "its waiting requests"),
    Column("running", "its running requests"),
    Column("priority", "its level as of now, higher first; 0 where none is given"),
)
CLASS_COLUMNS = (
    Column("ttft_s", "objective for the time to first token"),
    Column("tpot_s", "objective for the mean time per later token"),
    Column("gap_s", "objective for the longest gap between tokens"),
)

_TENANT_NAMES = [column.name for column in TENANT_COLUMNS]
_CLASS_NAMES = [column.name for column in CLASS_COLUMNS]
_N_INTS = len(REQUEST_INTS)
_N_WORDS = _N_INTS + len(REQUEST_FLOATS)


class Table:
    """Public facts of requests in order of arrival; ``changed``: rows not yet sent.

    ``words`` holds all of them as 64-bit words, shape (columns, rows); ``ints``,
    ``floats`` and ``columns``, by name, are views of it.
    """

    __slots__ = ("_capacity", "_flat", "changed", "columns", "floats", "ints", "words")

    def __init__(self, rows: int) -> None:
        self.changed: list[int] = []
        self._hold(np.zeros((_N_WORDS, rows), dtype=np.int64))

    def _hold(self, words: Ints) -> None:
        self.words = words
        # One row of it is a stride of this, which costs less than to index an array.
        self._flat = words.reshape(-1).data
        self._capacity = words.shape[1]
        self.ints: Ints = words[:_N_INTS]
        self.floats: Floats = words[_N_INTS:].view(np.float64)
        self.columns: dict[str, NDArray[Any]] = {
            column.name: values
            for column, values in zip(
                (*REQUEST_INTS, *REQUEST_FLOATS),
                (*self.ints, *self.floats),
                strict=True,
            )
        }

    def drain(self) -> Parts:
        """Rows changed since the last call with their words: (rows, words)."""
        rows = np.array(self.changed, dtype=np.int64)
        self.changed.clear()
        return rows, self.words.take(rows, axis=1)

    def apply(self, rows: Ints, words: Ints) -> None:
        """Take over what ``drain`` gave on the other side, growing as needed."""
        self._reach(int(rows.max()))
        self.words[:, rows] = words

    def drain_one(self) -> tuple[int, bytes]:
        """``drain`` for a single changed row, several times faster."""
        row = self.changed.pop()
        return row, self.words[:, row].tobytes()

    def apply_one(self, row: int, words: bytes) -> None:
        """Take over what ``drain_one`` gave."""
        if row >= self._capacity:
            self._reach(row)
        self._flat[row :: self._capacity] = memoryview(words).cast("l")

    def _reach(self, row: int) -> None:
        if row >= self._capacity:
            more = max(self._capacity, row)
            self._hold(np.pad(self.words, ((0, 0), (0, more))))


class Requests:
    """Columns over some requests, shape (n,) each, read-only, gathered when asked."""

    own_columns: ClassVar[Sequence[Column]] = ()
    _own_index: ClassVar[dict[str, int]] = {}

    def __init__(
        self, table: Table, rows: Ints, own: Sequence[NDArray[Any] | Packed] = ()
    ) -> None:
        self._table = table
        self._rows = rows
        self._own = own

    def __init_subclass__(cls) -> None:
        """Index the columns that come with each view, instead of from the table."""
        cls._own_index = {column.name: i for i, column in enumerate(cls.own_columns)}

    def __len__(self) -> int:
        return len(self._rows)

    def __getattr__(self, name: str) -> NDArray[Any]:
        own = self._own_index.get(name)
        if own is not None:
            column: NDArray[Any] = unpacked(self._own[own])
        else:
            values = self._table.columns.get(name)
            if values is None:
                raise AttributeError(
                    f"{type(self).__name__.lower()} has no column {name!r}; it has "
                    + ", ".join(column.name for column in self.columns())
                )
            column = values.take(self._rows)
            # By position, as a keyword takes as long as the gathering of 70 rows.
            column.setflags(False)  # type: ignore[call-arg]
        setattr(self, name, column)
        return column

    def parts(self) -> Parts:
        """The arrays that, with the table, make this view again on the other side."""
        return (self._rows, *map(unpacked, self._own))

    @classmethod
    def columns(cls) -> tuple[Column, ...]:
        """Every column of this view."""
        shared = (*REQUEST_FLOATS, *REQUEST_INTS)
        return (*shared, *(own for own in cls.own_columns if own not in shared))


def table_of(view: Requests) -> Table:
    """The table that a view shows rows of."""
    return view._table


def told_of(view: Requests) -> tuple[bytes, Sequence[Packed]]:
    """Rows and own columns of a view as plain values."""
    own = view._own
    return view._rows.tobytes(), [packed(array) for array in own] if own else ()


class Waiting(Requests):
    """Requests waiting to be admitted, in order of arrival."""

    own_columns = (
        Column(
            "cached_tokens", "its leading tokens in the prefix cache or host memory"
        ),
    )


class Running(Requests):
    """Requests that hold KV memory, in running order (the engine's own victim is last).

    ``generated_tokens`` and ``last_token_s`` are as of now for these.
    """

    own_columns = (
        *RUNNING_OWN,
        *(c for c in REQUEST_INTS if c.name == "generated_tokens"),
        *(c for c in REQUEST_FLOATS if c.name == "last_token_s"),
    )


class _Facts(NamedTuple):
    constants: Floats
    classes: Floats


class EngineFacts(_Facts):
    """What never changes of an engine during a scenario.

    ``constants`` follow ``ENGINE_CONSTANTS`` (float64), ``classes`` is (3, n_classes).
    """

    @functools.cached_property
    def numbers(self) -> list[float]:
        """The constants as plain numbers."""
        numbers: list[float] = self.constants.tolist()
        return numbers


class Engine:
    """Scalars of one engine, its tenants and its service classes, as of now."""

    def __init__(
        self,
        facts: EngineFacts,
        scalars: Floats | Sequence[float],
        tenants: Ints | Packed,
    ) -> None:
        self.facts = facts
        self.tenant_counts = tenants
        numbers: Sequence[float] = (
            scalars.tolist() if isinstance(scalars, np.ndarray) else scalars
        )
        self._numbers = numbers
        # Spelled out, as this is made for every question: ENGINE_SCALARS, in order,
        (
            self.now_s,
            self.free_blocks,
            self.n_waiting,
            self.n_running,
            self.n_decoding,
            self.context_tokens,
            self.last_step_s,
        ) = numbers
        # and ENGINE_CONSTANTS.
        (
            self.total_blocks,
            self.block_tokens,
            self.max_running,
            self.max_step_tokens,
            self.prediction_error,
            self.host_blocks,
            self.host_copy_s,
        ) = facts.numbers

    def __getattr__(self, name: str) -> Columns:
        if name == "tenants":
            table = Columns(_TENANT_NAMES, unpacked(self.tenant_counts))
        elif name == "classes":
            table = Columns(_CLASS_NAMES, self.facts.classes)
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
        return np.array(self.scalars()), unpacked(self.tenant_counts)

    def scalars(self) -> Sequence[float]:
        """Plain numbers that follow ``ENGINE_SCALARS``."""
        return self._numbers
