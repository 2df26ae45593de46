"""Importers: one file for each public source of measured times, found by its name.

A file ``NAME.py`` says in ``FOLDER`` where in a data folder its tables lie, and gives
``calibration(folder, asked)``; a source that is installed needs no folder.
"""

from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Protocol, cast

from evaluators.calibration.composed import Composed
from evaluators.calibration.importers.asked import Asked

NO_SOURCES = ("asked",)


class Importer(Protocol):
    """A module of this package."""

    FOLDER: str

    def calibration(self, folder: Path | None, asked: Asked) -> Composed:
        """The calibration asked; raises ``ValueError`` naming what is not there."""
        ...


def names() -> tuple[str, ...]:
    """Names of the importers there are, sorted."""
    folder = files("evaluators.calibration.importers")
    found = (e.name.removesuffix(".py") for e in folder.iterdir() if ".py" in e.name)
    return tuple(sorted(n for n in found if n not in NO_SOURCES and n[0] != "_"))


def importer(name: str) -> Importer:
    """The importer of that name; raises ``ValueError`` listing those there are."""
    if name not in names():
        raise ValueError(f"no source {name!r}; there are {', '.join(names())}")
    module = import_module(f"evaluators.calibration.importers.{name}")
    return cast(Importer, module)
