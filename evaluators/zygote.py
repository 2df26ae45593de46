"""The clean process that policies' processes are forked from.

Started as a program with a scrubbed environment by ``adrs.zygote``, it loads numpy and
``evaluators.child`` once, never sees a trace or a policy itself, and serves one
request after another on its control socket: fork a confined process, or end one with
everything it left behind. It has one thread, and dies with the process that made it.
"""

import functools
import gc
import importlib
import os
import random
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from evaluators import child, frames, probes, rehearsal
from evaluators.confine import (
    LAYERS,
    POLICY_DESCRIPTOR,
    REPORT,
    Confinement,
    ConfinementError,
    Limits,
    Step,
    adopt_orphans,
    confine,
    die_with,
    high,
)
from evaluators.descendants import children, has_ended, send, sweep
from evaluators.kernel import told
from evaluators.load import IMPORTS

FORK, REAP = 0, 1
SERVE = -1
REQUEST = struct.Struct("<qqddqqq")
"""Operation and process; then CPU seconds, wall seconds and bytes of memory of a new
process, or, in the place of wall seconds, how long one to be reaped has to end; then a
bit for each of ``LAYERS`` that is to confine it, and the probe that it is to make,
``SERVE`` for none."""
REPLY = struct.Struct("<qqqdq")
"""Process, wait status, processes left behind, their CPU seconds, peak memory bytes."""
_CONFINED = REPORT.pack(-1, 0)
MAX_SPACE_BYTES = 1 << 30
PREPARED = (
    *IMPORTS,
    *(
        f"numpy.{name}"
        for name in (
            "char",
            "ctypeslib",
            "dtypes",
            "exceptions",
            "fft",
            "lib.recfunctions",
            "lib.scimath",
            "lib.stride_tricks",
            "linalg",
            "ma",
            "polynomial",
            "random",
            "rec",
            "strings",
            "typing",
        )
    ),
    *("encodings.ascii", "encodings.latin_1", "linecache", "tracemalloc"),
)
"""Modules loaded here, as a policy's process cannot read a file: what a policy may
import, and what Python and numpy load on first use."""


class Zygote:
    """Forks policy processes and ends them, as the control socket says.

    ``answering`` is what each of them answers on, by the number of its socket.
    """

    def __init__(self, control: socket.socket, answering: frames.Channel) -> None:
        self._control = control
        self._answering = answering
        self._live: set[int] = set()
        self._confinement = Confinement()
        self._steps = functools.lru_cache(maxsize=8)(self._made_steps)
        self._child = child.Child()

    def serve(self) -> None:
        """Serve until the other side closes the socket or SIGTERM; end all children.

        Whose parent is killed meets both, the signal a little later: it must not cut
        short what the other began, or a child that was stopped is never killed.
        """
        try:
            try:
                self._control.send(REPLY.pack(os.getpid(), 0, 0, 0.0, 0))
                self._serve()
            finally:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
        finally:
            # Also one that is not known yet, nor bound to us: were it only stopped, as
            # in a sweep, and we killed, it would stay so.
            for process in children():
                send(process, signal.SIGKILL)
            sweep(())

    def _serve(self) -> None:
        while True:
            request, descriptors, _, _ = socket.recv_fds(
                self._control, REQUEST.size, maxfds=1
            )
            if not request:
                return
            operation, process, cpu_s, wall_s, memory_bytes, bits, probe = (
                REQUEST.unpack(request)
            )
            if operation == FORK:
                steps = self._steps(cpu_s, wall_s, memory_bytes, bits)
                reply = self._fork(steps, descriptors[0], probe)
            else:
                reply = self._reap(process, wall_s)
            self._control.send(reply)

    def _made_steps(
        self, cpu_s: float, wall_s: float, memory_bytes: int, bits: int
    ) -> tuple[Step, ...]:
        layers = [name for i, name in enumerate(LAYERS) if bits >> i & 1]
        return self._confinement.steps(layers, Limits(cpu_s, wall_s, memory_bytes))

    def _fork(self, steps: Sequence[Step], connection: int, probe: int) -> bytes:
        process = os.fork()
        if process == 0:
            self._become(steps, connection, probe)
        os.close(connection)
        self._live.add(process)
        return REPLY.pack(process, 0, 0, 0.0, 0)

    def _become(self, steps: Sequence[Step], connection: int, probe: int) -> NoReturn:
        """Be a policy's process, or make a probe, to the end, whatever happens."""
        status = 1
        try:
            _confine(steps, connection)
            if probe == SERVE:
                child.serve(self._child, self._answering)
                status = 0
            else:
                status = probes.made(probes.ALL[probe])
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        finally:
            os._exit(status & 0xFF)

    def _reap(self, process: int, grace_s: float) -> bytes:
        """Kill a process with its group, wait for it, then for what it left behind."""
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline and not has_ended(process):
            time.sleep(0.001)
        for kill in (os.killpg, os.kill):
            try:
                kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _, status, usage = os.wait4(process, 0)
        self._live.discard(process)
        orphans = sweep(self._live)
        cpu_s = usage.ru_utime + usage.ru_stime
        return REPLY.pack(process, status, orphans, cpu_s, usage.ru_maxrss * 1024)


def _confine(steps: Sequence[Step], connection: int) -> None:
    """Confine this process and say so, or end it and say which layer failed."""
    try:
        confine(steps, connection)
    except ConfinementError as error:
        report = REPORT.pack(LAYERS.index(error.layer), error.code)
        os.write(POLICY_DESCRIPTOR, report)
        os._exit(1)
    os.write(POLICY_DESCRIPTOR, _CONFINED)


def _end(signal_number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(signal_number)


def address_of_numpy() -> int:
    """Where this process holds the code of numpy's core; 0 if it holds none."""
    maps = told("/proc/self/maps").splitlines()
    core = (line for line in maps if "/_multiarray_umath." in line)
    return int(next(core, "0-").split("-")[0], 16)


def _align(address: int) -> None:
    """Start this program again if numpy's code lies above an address that is not 0.

    Space taken first, as the third argument says, moves what is loaded later down.
    """
    space = address_of_numpy() - address
    if address and 0 < space <= MAX_SPACE_BYTES and sys.argv[3] == "0":
        again = sys.orig_argv.copy()
        again[3 - len(sys.argv)] = str(space)
        os.execv(sys.executable, again)


def _prepare() -> None:
    """Load what no child can load, and have all of them draw the same numbers."""
    for name in PREPARED:
        importlib.import_module(name)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (what a policy may draw from)


def main() -> None:
    """Serve on the control socket.

    Arguments: the parent's process, the descriptor of the socket, bytes of memory that
    were taken before numpy was loaded, and where its code had better lie (0: anywhere).
    """
    signal.signal(signal.SIGTERM, _end)
    try:
        die_with(int(sys.argv[1]), signal.SIGTERM)
        _align(int(sys.argv[4]))
        os.setsid()
        adopt_orphans()
    except OSError as error:
        raise SystemExit(f"session cannot be put in force: {error}") from None
    _prepare()
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise SystemExit(f"{threads} threads after importing numpy; expected 1")
    control = high(int(sys.argv[2]))
    # A socket of nobody's, under the number that a policy's will have.
    os.dup2(socket.socket(socket.AF_UNIX).detach(), POLICY_DESCRIPTOR)
    rehearsal.rehearse()
    answering = child.channel_on(POLICY_DESCRIPTOR)
    zygote = Zygote(socket.socket(fileno=control), answering)
    gc.collect()
    gc.freeze()
    zygote.serve()
