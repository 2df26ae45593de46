"""How a campaign goes: a live line on a terminal, now and then a line in a log."""

import shutil
import time
from typing import NamedTuple, TextIO

LIVE_S = 0.1
PLAIN_S = 5.0


class Status(NamedTuple):
    """Where a campaign is; scores are fractions of the bound on the train split.

    ``left_s`` is None while nobody can tell, ``wanted`` None without such a limit.
    """

    stage: str
    best: float
    best_seed: float
    evaluated: int
    wanted: int | None
    valid: int
    usd: float
    left_s: float | None


class Progress:
    """Writes a status to a stream, live where it is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._last_s = -PLAIN_S if self._live else time.monotonic()
        self._open = False

    def show(self, status: Status) -> None:
        """Show it, unless another was shown a moment ago."""
        self.write(line(status))

    def write(self, text: str) -> None:
        """The same with a line that is ready."""
        now_s = time.monotonic()
        if now_s - self._last_s < (LIVE_S if self._live else PLAIN_S):
            return
        self._last_s = now_s
        if self._live:  # what wraps could not be written over
            text = "\r\x1b[2K" + text[: shutil.get_terminal_size().columns - 1]
        self._stream.write(text if self._live else text + "\n")
        self._stream.flush()
        self._open = self._live

    def close(self) -> None:
        """Leave the live line standing, if there is one."""
        if self._open:
            self._stream.write("\n")
            self._stream.flush()
            self._open = False


def line(status: Status) -> str:
    """A status in words, as a rule within 80 columns."""
    valid = status.valid / status.evaluated if status.evaluated else 1.0
    wanted = "" if status.wanted is None else f"/{status.wanted}"
    return (
        f"{status.stage} | best {status.best:.4f} | seed {status.best_seed:.4f}"
        f" | {status.evaluated}{wanted} | {valid:.0%} valid"
        f" | ${status.usd:.2f} | {_left(status.left_s)} left"
    )


def _left(left_s: float | None) -> str:
    if left_s is None:
        return "?"
    if left_s < 59.5:
        return f"{left_s:.0f} s"
    hours, minutes = divmod(round(left_s / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
