"""Clocks, power and temperature of a GPU while something runs, where readable."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

FIELDS = (
    "clocks.sm",
    "clocks.mem",
    "power.draw",
    "temperature.gpu",
    "utilization.gpu",
)
PERIOD_MS = 500
"""How often; each reading takes nvidia-smi some milliseconds of a CPU core."""


@contextmanager
def watched(path: Path, *, is_gpu: bool) -> Iterator[None]:
    """While it is open, nvidia-smi appends a reading to ``path`` twice a second.

    Nothing is written where there is no nvidia-smi. It only reads: no clock, limit or
    mode of the device is changed.
    """
    program = shutil.which("nvidia-smi") if is_gpu else None
    if program is None:
        yield
        return
    query = f"--query-gpu={','.join(FIELDS)}"
    words = [program, "-i", "0", query, "--format=csv,noheader,nounits"]
    with path.open("ab") as file:
        subprocess.run(words, stdout=file, stderr=subprocess.DEVNULL, check=False)
        reader = subprocess.Popen(
            [*words, "-lms", str(PERIOD_MS)], stdout=file, stderr=subprocess.DEVNULL
        )
        try:
            yield
        finally:
            # What the reader still holds back is lost, so the last reading is its own.
            reader.terminate()
            reader.wait()
            subprocess.run(words, stdout=file, stderr=subprocess.DEVNULL, check=False)


def driver() -> str | None:
    """Version of the GPU's driver; None where nvidia-smi does not tell."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    words = [program, "-i", "0", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def summed_up(path: Path) -> dict[str, list[float]]:
    """Least, median and most of every gauge in a file of readings; empty if none.

    A gauge that the device does not show is left out.
    """
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = [line.split(",") for line in lines]
    whole = [row for row in rows if len(row) == len(FIELDS)]
    found = {}
    for at, name in enumerate(FIELDS):
        values = list(_numbers(row[at] for row in whole))
        if values:
            found[name] = [float(q) for q in np.quantile(values, (0.0, 0.5, 1.0))]
    return found


def _numbers(words: Iterator[str] | Sequence[str]) -> Iterator[float]:
    for word in words:
        try:
            yield float(word)
        except ValueError:
            continue
