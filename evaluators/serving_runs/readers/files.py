"""Text files of measured runs, plain or compressed, as rows."""

import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

Record = Mapping[str, Any]


def text(path: Path) -> str:
    """Content of a file; what ends in .gz is unpacked."""
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            return stream.read()
    return path.read_text(encoding="utf-8")


def is_named(path: Path, *endings: str) -> bool:
    """Whether the name ends so, but for a .gz behind it."""
    return path.name.removesuffix(".gz").endswith(endings)


def header(path: Path) -> set[str]:
    """Names of a CSV file's columns."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as stream:
        return set(next(csv.reader(stream), []))


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file by the names of its columns."""
    return list(csv.DictReader(text(path).splitlines()))


def lines(path: Path) -> list[Record]:
    """Objects of a file that holds one JSON object a line."""
    found = [json.loads(line) for line in text(path).splitlines() if line.strip()]
    return cast("list[Record]", found)


def beside(path: Path, *patterns: str) -> Iterator[Path]:
    """Files of the same folder, or of the folder itself, whose names fit, sorted."""
    folder = path if path.is_dir() else path.parent
    for pattern in patterns:
        yield from sorted(folder.glob(pattern))


def number(value: str) -> float | None:
    """The number in a cell; None of an empty one."""
    return float(value) if value.strip() else None
