"""Views that stand by themselves: two arrays, whole numbers and others, with names."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from numpy.typing import NDArray

from evaluators.views import Column, Floats, Ints, Parts


class Named:
    """Attributes named by ``int_columns`` and ``float_columns``, one a row."""

    int_columns: ClassVar[Sequence[Column]]
    float_columns: ClassVar[Sequence[Column]]

    def __init__(self, ints: Ints, floats: Floats) -> None:
        self._parts = (ints, floats)

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

    def __getattr__(self, name: str) -> NDArray[Any]:
        known = ", ".join(column.name for column in self.columns())
        kind = type(self).__name__.lower()
        raise AttributeError(f"{kind} has no {name!r}; it has {known}")


class NamedColumns(Named):
    """Every column has shape (n,) and is read-only."""

    def __init__(self, ints: Ints, floats: Floats) -> None:
        super().__init__(ints, floats)
        ints.flags.writeable = floats.flags.writeable = False
        values = self.__dict__
        for columns, rows in ((self.int_columns, ints), (self.float_columns, floats)):
            for column, row in zip(columns, rows, strict=True):
                values[column.name] = row

    def __len__(self) -> int:
        return int(self._parts[0].shape[1])
