"""Who measured: device, versions, clocks, date and command, as one JSON file."""

import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "provenance.json"
READINGS = "gauges.csv"
MUST_AGREE = ("kind", "device", "dtype", "clock", "threads", "torch", "model")
"""What a run must share with the tables that it goes on with."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a folder of tables was measured on, and how; None is not known.

    ``clock`` says what was timed with, ``gauges`` are least, median and most of what
    the device's driver showed meanwhile, ``notes`` what a reader must know.
    """

    kind: str
    device: str
    dtype: str
    model: str
    clock: str
    threads: int | None
    torch: str
    triton: str | None
    cuda: str | None
    driver: str | None
    memory_bytes: int | None
    units: int | None
    python: str
    date: str
    commit: str | None
    command: str
    repeats: str
    gauges: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def write(folder: Path, made: Provenance) -> None:
    """Keep it beside the tables, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{FILE}"
    part.write_text(json.dumps(asdict(made), indent=2) + "\n", encoding="utf-8")
    part.replace(folder / FILE)


def read(folder: Path) -> Provenance:
    """What a folder's tables were measured on; ``ValueError`` if it does not say."""
    path = folder / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"{folder} has no {FILE}: no measured tables; "
            f"python -m evaluators.kernels --out {folder} measures them"
        ) from None
    except ValueError:
        raise ValueError(f"{path} is broken") from None
    known = {field.name for field in fields(Provenance)}
    if not isinstance(found, dict) or found.keys() != known:
        raise ValueError(f"{path} has other keys than {', '.join(sorted(known))}")
    return Provenance(**{**found, "notes": tuple(found["notes"])})


def check_same(folder: Path, now: Provenance) -> None:
    """Raise ``ValueError`` when the folder's tables are of another device or set-up."""
    if not (folder / FILE).exists():
        return
    before = read(folder)
    for name in MUST_AGREE:
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            raise ValueError(
                f"{folder} was measured with {name} {old!r}, not {new!r}: tables of "
                "two set-ups do not mix; choose another folder"
            )


def commit() -> str | None:
    """The commit of this checkout, with a plus where files differ from it."""
    here = Path(__file__).parent
    head = _git(here, "rev-parse", "HEAD")
    if head is None:
        return None
    return head + ("+" if _git(here, "status", "--porcelain") else "")


def today() -> str:
    """Date and time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def processor() -> str:
    """What the CPU calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    return next(named, platform.processor() or platform.machine())


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
