"""The two ends of what a question carries: views out of the engine's process.

The engine's end makes numbers and bytes of views, the policy's end the same views of
these. Only this way goes through ``marshal``, which is fast but believes what it reads;
answers come back as plain arrays, see ``evaluators.frames``.
"""

import functools
import marshal
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluators.view_kinds import KINDS
from evaluators.views import Engine, EngineFacts, Ints, Requests, Table, table_of

Names = tuple[str, ...]
Plain = Any
"""What ``marshal`` carries: floats, ints, bytes, and lists and tuples of them."""

_FORMAT = 2
"""Later formats of marshal look for repeated objects, of which there are none."""


class Teller:
    """The engine's end; remembers what the other end has been told."""

    def __init__(self) -> None:
        self._facts: EngineFacts | None = None
        self._table: Table | None = None

    def told(self, names: Names, views: Sequence[Any]) -> bytes:
        """The arguments of these names, and which rows of the table changed."""
        tells = zip(_tells(names), views, strict=True)
        plain = [tell(self, view) for tell, view in tells]
        if self._table is not None and self._table.changed:
            plain.append(_changes(self._table))
        return marshal.dumps(plain, _FORMAT)

    def number(self, value: float) -> Plain:
        """A plain float; anything else would not be the same in both processes."""
        if type(value) is not float:
            raise TypeError(f"a hook is given {value!r}; expected a view or a float")
        return value

    def requests(self, view: Requests) -> Plain:
        """Rows of the one table, and the columns that are the view's own."""
        table = table_of(view)
        if table is not self._table:
            assert self._table is None, "a policy is shown rows of two tables"
            self._table = table
        rows, *own = view.parts()
        return rows.tobytes(), [_plain(array) for array in own]

    def engine(self, view: Engine) -> Plain:
        """Scalars, tenants, and the facts unless they are known already."""
        facts: Sequence[NDArray[Any]] = ()
        if view.facts is not self._facts:
            self._facts = facts = view.facts
        tenants = _plain(view.tenant_counts)
        return view.scalars(), tenants, [_plain(array) for array in facts]

    def view(self, view: Any) -> Plain:  # noqa: ANN401 - of any kind
        """The parts of a view that stands by itself."""
        return [_plain(array) for array in view.parts()]


class Mirror:
    """The policy's end; holds what it has been told and no more."""

    def __init__(self) -> None:
        self._facts: EngineFacts | None = None
        self._table = Table(64)

    def views(self, names: Names, told: bytes) -> list[Any]:
        """The arguments of these names as the engine's end was given them."""
        plain = marshal.loads(told)
        if len(plain) > len(names):
            self._change(*plain.pop())
        return [see(self, one) for see, one in zip(_sees(names), plain, strict=True)]

    def _change(self, rows: Plain, words: Plain) -> None:
        if isinstance(rows, int):
            self._table.apply_one(rows, _words(words))
        else:
            self._table.apply(_array(rows), _array(words))

    def number(self, plain: Plain) -> float:
        """Inverse of ``Teller.number``."""
        assert type(plain) is float, "a number is told as a float"
        return plain

    def requests(self, plain: Plain, kind: type[Requests]) -> Requests:
        """Inverse of ``Teller.requests``."""
        rows, own = plain
        return kind(self._table, _words(rows), [_array(one) for one in own])

    def engine(self, plain: Plain) -> Engine:
        """Inverse of ``Teller.engine``."""
        scalars, tenants, facts = plain
        if facts:
            self._facts = EngineFacts(*(_array(one) for one in facts))
        assert self._facts is not None, "an engine was told before its facts"
        return Engine(self._facts, scalars, _array(tenants))

    def view(self, plain: Plain, kind: type[Any]) -> Any:  # noqa: ANN401 - of any kind
        """Inverse of ``Teller.view``."""
        return kind.from_parts(tuple([_array(one) for one in plain]))


@functools.cache
def _tells(names: Names) -> tuple[Callable[[Teller, Any], Plain], ...]:
    def tell(name: str) -> Callable[[Teller, Any], Plain]:
        kind = KINDS.get(name)
        if kind is None:
            return Teller.number
        if issubclass(kind, Requests):
            return Teller.requests
        return Teller.engine if kind is Engine else Teller.view

    return tuple(tell(name) for name in names)


@functools.cache
def _sees(names: Names) -> tuple[Callable[[Mirror, Plain], Any], ...]:
    def see(name: str) -> Callable[[Mirror, Plain], Any]:
        kind = KINDS.get(name)
        if kind is None:
            return Mirror.number
        if issubclass(kind, Requests):
            return functools.partial(Mirror.requests, kind=kind)
        if kind is Engine:
            return Mirror.engine
        return functools.partial(Mirror.view, kind=kind)

    return tuple(see(name) for name in names)


def _changes(table: Table) -> Plain:
    """What ``Mirror`` changes: rows and words, or most often one row and its words."""
    if len(table.changed) == 1:
        row = table.changed.pop()
        return row, table.words[:, row].tobytes()
    return [_plain(array) for array in table.drain()]


def _plain(array: NDArray[Any]) -> Plain:
    return array.dtype.char, array.shape, array.tobytes()


def _array(plain: Plain) -> NDArray[Any]:
    """Inverse of ``_plain``; read-only."""
    kind, shape, values = plain
    return np.ndarray(shape, kind, values)


def _words(values: bytes) -> Ints:
    """Whole numbers in one dimension."""
    return np.frombuffer(values, np.int64)
