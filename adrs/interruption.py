"""What Ctrl-C and SIGTERM do to a run: it can be gone on with."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from adrs.terminal import note_if_heard

INTERRUPTED = 130
"""Exit code of a command that was interrupted."""

SIGNALS = signal.SIGINT, signal.SIGTERM


@contextmanager
def interruptible() -> Iterator[None]:
    """The first signal stops once answers already paid for are in; a second at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        for each in SIGNALS:
            signal.signal(each, lambda *_: os._exit(INTERRUPTED))
        note_if_heard(
            "\nstopping when the questions in flight are answered; Ctrl-C: at once"
        )
        raise KeyboardInterrupt

    before = {each: signal.signal(each, handle) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
