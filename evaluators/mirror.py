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

from evaluators.packing import packed, unpacked
from evaluators.view_kinds import KINDS
from evaluators.views import Engine, EngineFacts, Requests, Table, table_of, told_of

Names = tuple[str, ...]
Plain = Any
"""What ``marshal`` carries: floats, ints, bytes, and lists and tuples of them."""

_FORMAT = 2
"""Later formats of marshal look for repeated objects, of which there are none."""

_INT64 = np.dtype(np.int64)


class Teller:
    """The engine's end; remembers what the other end has been told."""

    def __init__(self) -> None:
        self._facts: EngineFacts | None = None
        self._table: Table | None = None

    def told(self, names: Names, views: Sequence[Any]) -> bytes:
        """The arguments of these names, and which rows of the table changed."""
        tells = _tells(names)
        assert len(views) == len(tells), "a hook is given each of its arguments"
        plain = [tell(self, view) for tell, view in zip(tells, views)]  # noqa: B905
        table = self._table
        if table is not None and table.changed:
            one = len(table.changed) == 1
            plain.append(table.drain_one() if one else _many(table))
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
        return told_of(view)

    def engine(self, view: Engine) -> Plain:
        """Scalars, tenants, and the facts unless they are known already."""
        facts = view.facts
        tenants = packed(view.tenant_counts)
        if facts is self._facts:
            return view.scalars(), tenants
        self._facts = facts
        return view.scalars(), tenants, *map(packed, facts)

    def view(self, view: Any) -> Plain:  # noqa: ANN401 - of any kind
        """The parts of a view that stands by itself."""
        return [packed(array) for array in view.parts()]


class Mirror:
    """The policy's end; holds what it has been told and no more."""

    def __init__(self) -> None:
        self._facts: EngineFacts | None = None
        self._table = Table(64)

    def views(self, names: Names, told: bytes) -> list[Any]:
        """The arguments of these names as the engine's end was given them."""
        plain = marshal.loads(told)
        sees = _sees(names)
        if len(plain) > len(sees):
            rows, words = plain.pop()
            if isinstance(rows, int):
                self._table.apply_one(rows, words)
            else:
                self._table.apply(unpacked(rows), unpacked(words))
        return [see(self, one) for see, one in zip(sees, plain)]  # noqa: B905

    def number(self, plain: Plain) -> float:
        """Inverse of ``Teller.number``."""
        assert type(plain) is float, "a number is told as a float"
        return plain

    def requests(self, plain: Plain, kind: type[Requests]) -> Requests:
        """Inverse of ``Teller.requests``."""
        rows, own = plain
        return kind(self._table, np.frombuffer(rows, _INT64), own)

    def engine(self, plain: Plain) -> Engine:
        """Inverse of ``Teller.engine``."""
        if len(plain) > 2:
            self._facts = EngineFacts(*map(unpacked, plain[2:]))
        assert self._facts is not None, "an engine was told before its facts"
        return Engine(self._facts, plain[0], plain[1])

    def view(self, plain: Plain, kind: type[Any]) -> Any:  # noqa: ANN401 - of any kind
        """Inverse of ``Teller.view``."""
        return kind.from_parts(tuple(map(unpacked, plain)))


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
            return lambda mirror, plain: mirror.requests(plain, kind)
        if kind is Engine:
            return Mirror.engine
        return lambda mirror, plain: mirror.view(plain, kind)

    return tuple(see(name) for name in names)


def _many(table: Table) -> Plain:
    """What ``Mirror`` changes when there are several rows."""
    return tuple(map(packed, table.drain()))
