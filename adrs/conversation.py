"""Questions to a policy's process and its answers, within its limits."""

import itertools
import os
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any, cast

from numpy.typing import NDArray

from adrs.zygote import Process
from evaluators import frames
from evaluators.child import FAILURES
from evaluators.confine import Limits
from evaluators.evaluation import FailureKind, PolicyError
from evaluators.views import Parts

TICK_S = 0.05
"""How often the limits are checked while no answer comes."""

_OWN_FAULTS = frozenset((
    "source",
    "interface",
    "exception",
    "decision",
    "memory_limit",
))
"""What a policy's process may say of itself; the rest is told from outside."""


class Conversation:
    """Questions to one policy process and its answers, within its limits.

    ``is_lost`` tells that the process closed its end: how it ended says why.
    """

    def __init__(self, process: Process, limits: Limits) -> None:
        self.is_lost = False
        self._process = process
        self._limits = limits
        self._nonces = _nonces()
        self._subject = "the policy"
        self._asked_at_s = 0.0
        self._waited_s = 0.0
        self._check_at_s = TICK_S
        self._nonce = self._slow_nonce = 0
        self._slow_since_cpu_s = 0.0
        tick = struct.pack("ll", 0, int(TICK_S * 1e6))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            process.connected.setsockopt(socket.SOL_SOCKET, option, tick)
        self._channel = frames.Channel(
            process.connected, frames.MAX_ANSWER_BYTES, self._check_limits
        )

    def ask(self, subject: str, kind: int, payload: bytes) -> Parts:
        """Arrays that the policy answers; raises ``PolicyError`` for all else."""
        self._subject = subject
        nonce = self._nonce = next(self._nonces)
        self._asked_at_s = time.monotonic()
        try:
            self._channel.send(nonce, kind, payload)
            answer = self._channel.receive_answer(nonce)
            now_s = time.monotonic()
            self._waited_s += now_s - self._asked_at_s
            if self._waited_s > self._check_at_s:
                self._asked_at_s = now_s
                self._check_limits()
                self._check_at_s = self._waited_s + TICK_S
            return _answer(answer, nonce)
        except frames.FrameError as error:
            raise PolicyError("protocol", f"{subject}: {error}") from None
        except frames.ClosedError:
            self.is_lost = True
            raise PolicyError("crash", f"{subject}: its process ended") from None

    def tell(self, subject: str, kind: int, payload: bytes) -> None:
        """Send what needs no answer; that nobody listens shows at the next question."""
        self._subject = subject
        self._asked_at_s = time.monotonic()
        try:
            self._channel.send(next(self._nonces), kind, payload)
        except frames.ClosedError:
            self.is_lost = True
        finally:
            self._waited_s += time.monotonic() - self._asked_at_s

    def _check_limits(self) -> None:
        """Raise ``PolicyError`` if CPU or waiting time is used up."""
        limits = self._limits
        used_s = _cpu_s(self._process.id)
        if used_s > limits.cpu_s:
            raise PolicyError("cpu_limit", over_cpu_limit(limits))
        self._check_question(used_s)
        waited_s = self._waited_s + time.monotonic() - self._asked_at_s
        if waited_s > limits.wall_s:
            raise PolicyError(
                "wall_limit",
                f"{self._subject}: no answer within {limits.wall_s:g} s, of all "
                "questions of a scenario together",
            )

    def _check_question(self, used_s: float) -> None:
        """Raise ``PolicyError`` if one question took too much CPU time.

        Counted from the first tick that passed without its answer.
        """
        if self._slow_nonce != self._nonce:
            self._slow_nonce, self._slow_since_cpu_s = self._nonce, used_s
        elif used_s - self._slow_since_cpu_s > self._limits.question_cpu_s:
            raise PolicyError(
                "cpu_limit",
                f"{self._subject}: used more than {self._limits.question_cpu_s:g} s of "
                "CPU time on one question",
            )


def over_cpu_limit(limits: Limits) -> str:
    """Message of a failure by CPU time; how much and where vary by run, so not told."""
    return f"the policy: used more than {limits.cpu_s:g} s of CPU time on a scenario"


def _answer(frame: NDArray[Any] | frames.Frame, nonce: int) -> Parts:
    if not isinstance(frame, frames.Frame):
        return (frame,)
    if frame.nonce != nonce:
        raise frames.FrameError("an answer to a question that was not asked")
    if frame.kind == frames.ANSWER:
        return frames.unpack(frame.payload)
    if frame.kind != frames.ERROR:
        raise frames.FrameError(f"a frame of kind {frame.kind}")
    code = frame.payload[0] if frame.payload else len(FAILURES)
    if code >= len(FAILURES) or FAILURES[code] not in _OWN_FAULTS:
        raise frames.FrameError(f"an error of kind {code}")
    message = frame.payload[1:1000].decode(errors="replace")
    raise PolicyError(cast(FailureKind, FAILURES[code]), message)


def _nonces() -> Iterator[int]:
    batch = struct.Struct("<64Q")
    return itertools.chain.from_iterable(
        batch.unpack(os.urandom(batch.size)) for _ in itertools.repeat(None)
    )


def _cpu_s(process: int) -> float:
    """CPU seconds a process has used so far; 0 when it has ended."""
    # The kernel's id of a process's scheduler clock, see clock_getcpuclockid(3).
    clock = (~process << 3) | 2
    try:
        return time.clock_gettime(clock)
    except OSError:
        return 0.0
