"""This process's handle on its zygote: start it, have it fork and end policies."""

import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

import evaluators
from evaluators.confine import LAYERS, REPORT, ConfinementError, Limits
from evaluators.descendants import SWEEP_S
from evaluators.zygote import FORK, REAP, REPLY, REQUEST, SERVE, address_of_numpy

ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "LD_BIND_NOW": "1",
    "PATH": "/nonexistent",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""All that a policy's process inherits of the environment."""

START_TIMEOUT_S = 60.0
_ASK_PERSONALITY = 0xFFFFFFFF
_ADDR_NO_RANDOMIZE = 0x0040000
# A zygote has one thread, and seeds of its own, so that its children need none of what
# threading and random would have each of them do, on fifty pages of memory. LD_BIND_NOW
# above is for the same: what a zygote has bound no child looks up.
_RUN = """
import mmap, os, sys
os.register_at_fork = lambda **_: None
space = int(sys.argv[3])
kept = mmap.mmap(-1, space) if space else None
sys.path[:0] = sys.argv[5:]
from evaluators.zygote import main
main()
"""


class ZygoteError(Exception):
    """The zygote is gone: no policy's fault that can be told from an accident."""


class NoProcessError(ZygoteError):
    """There is no process for a policy, which has not begun: it is never its fault."""


class Ending(NamedTuple):
    """How a policy's process ended, after all of its group was killed and reaped.

    ``code`` is the exit status, ``ended_by`` the signal or None; ``left_behind`` counts
    processes that it had started and that were still there.
    """

    code: int
    ended_by: signal.Signals | None
    left_behind: int
    cpu_s: float
    peak_bytes: int


class Process(NamedTuple):
    """A forked and confined policy process and our end of its socket."""

    id: int
    connected: socket.socket


class Zygote:
    """A running zygote; a fresh one is started when asked after it has died.

    Usable from several threads, but one must outlive the zygote that it started: the
    kernel ends a zygote with the thread that made it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def id(self) -> int | None:
        """Process of the running zygote, None before the first fork."""
        return self._process.pid if self._process else None

    @contextmanager
    def forked(
        self, limits: Limits, layers: Collection[str] = LAYERS, probe: int = SERVE
    ) -> Iterator[Process]:
        """A fresh policy process; its socket is closed at the end, see ``reap``.

        Raises ``ConfinementError`` when one of its layers cannot be put in force, and
        ``NoProcessError``. ``probe``, a place in ``evaluators.probes.ALL``, is made in
        the policy's stead.
        """
        bits = sum(1 << i for i, layer in enumerate(LAYERS) if layer in layers)
        with _before_a_policy(), self._lock:
            self._ensure_running()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                numbers = (limits.cpu_s, limits.wall_s, limits.memory_bytes)
                reply = self._ask(FORK, 0, (*numbers, bits, probe), theirs)
        with ours:
            process = Process(reply[0], ours)
            with _before_a_policy():
                self._check(process)
            yield process

    def reap(self, process: Process, grace_s: float = 0.0) -> Ending:
        """End the process and all it started; raises ``ZygoteError``.

        The process has ``grace_s`` to end by itself before it is killed.
        """
        with self._lock:
            reply = self._ask(REAP, process.id, (0.0, grace_s, 0, 0, 0))
        _, status, left_behind, cpu_s, peak_bytes = reply
        code = os.waitstatus_to_exitcode(status)
        ended_by = signal.Signals(-code) if code < 0 else None
        return Ending(code, ended_by, left_behind, cpu_s, peak_bytes)

    def close(self) -> None:
        """End the zygote with all its processes."""
        with self._lock:
            self._stop()

    def _check(self, process: Process) -> None:
        """Hear that the process is confined, which it says before it does all else."""
        patience = struct.pack("ll", int(START_TIMEOUT_S), 0)
        process.connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
        try:
            report = process.connected.recv(REPORT.size)
        except OSError:
            report = b""
        if len(report) != REPORT.size:
            self.reap(process)
            raise ZygoteError("a process ended before it was confined")
        layer, code = REPORT.unpack(report)
        if layer >= 0:
            self.reap(process)
            raise ConfinementError(LAYERS[layer], code)

    def _ask(
        self,
        operation: int,
        process: int,
        numbers: tuple[float, float, int, int, int],
        end: socket.socket | None = None,
    ) -> tuple[int, int, int, float, int]:
        if self._control is None:
            raise ZygoteError("the zygote has ended")
        descriptors = [end.fileno()] if end else []
        reply, cause = b"", "it closed its socket"
        try:
            request = REQUEST.pack(operation, process, *numbers)
            socket.send_fds(self._control, [request], descriptors)
            reply = self._control.recv(REPLY.size)
        except OSError as error:
            cause = str(error)
        finally:
            # Also when Ctrl-C cuts the wait short: what it would still answer must not
            # be taken for the answer to the next.
            if len(reply) != REPLY.size:
                self._stop()
        if len(reply) != REPLY.size:
            raise ZygoteError(f"the zygote has ended: {cause}")
        return REPLY.unpack(reply)

    def _ensure_running(self) -> None:
        if self._control and self._process and self._process.poll() is None:
            return
        self._stop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(START_TIMEOUT_S)
        with theirs:
            self._process = _started(theirs)
        try:
            ready = ours.recv(REPLY.size)
        except TimeoutError:
            ready = b""
        if ready:
            # Only now: one that is left unheard, as by Ctrl-C, is asked nothing.
            self._control = ours
        else:
            ours.close()
            self._process.kill()
            _, said = self._process.communicate()
            self._stop()
            raise ZygoteError(f"the zygote does not start: {said.decode()[-500:]}")

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            try:
                self._process.communicate(timeout=2 * SWEEP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.communicate()
        self._control = self._process = None


@contextmanager
def _before_a_policy() -> Iterator[None]:
    try:
        yield
    except ZygoteError as error:
        raise NoProcessError(str(error)) from error


@contextmanager
def same_addresses() -> Iterator[None]:
    """Have the programs that this thread starts inside load code at fixed addresses.

    Engine and policy take turns on a core; where their code lies at the same addresses
    they share its branch predictions, and a question takes 52 us instead of 82. Where
    the kernel denies it, as Docker's default profile does, it only takes longer.
    """
    personality = ctypes.CDLL(None).personality
    before = personality(_ASK_PERSONALITY)
    personality(before | _ADDR_NO_RANDOMIZE)
    try:
        yield
    finally:
        personality(before)


def _address() -> int:
    """Where this process holds numpy's code, for its zygote to do the same; 0: any."""
    is_fixed = ctypes.CDLL(None).personality(_ASK_PERSONALITY) & _ADDR_NO_RANDOMIZE
    return address_of_numpy() if is_fixed else 0


def _started(control: socket.socket) -> "subprocess.Popen[bytes]":
    packages = (evaluators.__file__, np.__file__)
    roots = dict.fromkeys(str(Path(str(file)).parents[1]) for file in packages)
    # -S and -P: nothing of the site or the caller's folder but these roots; -I would
    # also ignore the fixed hash seed.
    flags = ("-s", "-S", "-P", "-B", "-c", _RUN)
    numbers = (os.getpid(), control.fileno(), 0, _address())
    arguments = (*map(str, numbers), *roots)
    with same_addresses():
        return subprocess.Popen(
            [sys.executable, *flags, *arguments],
            env=ENVIRONMENT,
            cwd="/",
            pass_fds=[control.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
