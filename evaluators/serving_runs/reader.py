"""Measured runs of a file or a folder, by whichever format each file is in."""

import csv
import gzip
import importlib
import pkgutil
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from evaluators.serving_runs import readers
from evaluators.serving_runs.measured import Found, LeftOut, MeasuredRun

HELPERS = ("files", "plain_checks")
MOST_FILES = 2000


class Format(Protocol):
    """A module of ``readers``."""

    def recognises(self, path: Path) -> bool:
        """Whether a file is in this format; reads no more of it than that takes."""
        ...

    def read(self, path: Path) -> Found:
        """The runs of a file; raises ``ValueError`` saying what is wrong with it."""
        ...


class Collection(NamedTuple):
    """Runs by format, what was left out of them, and files in none of the formats."""

    runs: tuple[MeasuredRun, ...]
    left_out: tuple[LeftOut, ...]
    unknown: tuple[str, ...]


def formats() -> dict[str, Format]:
    """The formats by the names of their files, sorted."""
    names = sorted(module.name for module in pkgutil.iter_modules(readers.__path__))
    return {
        name: cast(Format, importlib.import_module(f"{readers.__name__}.{name}"))
        for name in names
        if name not in HELPERS
    }


def collected(place: Path) -> Collection:
    """All runs of a file, or of a folder and those below it.

    Raises ``FileNotFoundError`` where there is nothing, ``ValueError`` for a file that
    is in one of the formats and cannot be read.
    """
    if not place.exists():
        raise FileNotFoundError(
            f"no measured runs: {place} does not exist; name a file or folder with "
            "runs=PATH, or the folder of public data with data=FOLDER or ADRS_DATA"
        )
    known = formats()
    runs: list[MeasuredRun] = []
    left_out: list[LeftOut] = []
    unknown: list[str] = []
    for path in _files(place):
        name = next((name for name in known if _is_in(known[name], path)), None)
        if name is None:
            if not _is_description(path, known["plain"]):
                unknown.append(path.name)
            continue
        found = _read(name, known[name], path)
        runs += found.runs
        left_out += found.left_out
    if not runs and not left_out:
        raise ValueError(
            f"{place} holds no measured runs; formats are {', '.join(known)} "
            "(evaluators/serving_runs/readers)"
        )
    return Collection(tuple(runs), tuple(left_out), tuple(unknown))


def _is_in(format_: Format, path: Path) -> bool:
    """Whether a file is in a format; what is no text where text is due is in none."""
    try:
        return format_.recognises(path)
    except (UnicodeDecodeError, csv.Error, gzip.BadGzipFile, EOFError):
        return False


def _is_description(path: Path, plain: Format) -> bool:
    """Whether a file describes requests beside it, with which it is read."""
    if path.name != "run.json":
        return False
    beside = [path.with_name(f"requests.csv{ending}") for ending in ("", ".gz")]
    return any(other.is_file() and _is_in(plain, other) for other in beside)


def _read(name: str, format_: Format, path: Path) -> Found:
    try:
        return format_.read(path)
    except (ValueError, KeyError, TypeError, EOFError) as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{path} cannot be read as measured runs in the format {name}: {what}; "
            f"see evaluators/serving_runs/readers/{name}.py"
        ) from error


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    files = sorted(path for path in place.rglob("*") if path.is_file())
    if len(files) > MOST_FILES:
        raise ValueError(
            f"{place} holds {len(files)} files; name the folder of the measured runs"
        )
    return files
