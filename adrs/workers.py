"""Worker processes of loky, that end with what started them and keep to a core each.

They are ours and trusted. Who asks for them has them started by the first task given.
"""

import itertools
import os
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any, cast

from evaluators.confine import die_with

HAND_OVER_S = 5.0
"""How long loky may take to hand what it was given to its workers."""

MAX_ON_A_CORE = 64
"""Workers of all pools on this machine that one core takes; more go unpinned."""

_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)


def executor(workers: int) -> Executor:
    """Worker processes, each on a core of its own, that the kernel ends with this one.

    It ends them with the very thread that gives the first task, so that one had better
    outlive them.
    """
    # Started with the first worker, it would let Ctrl-C through to that one.
    resource_tracker.ensure_running()
    # Heavy, and not needed for what a worker or a test in process uses of this file.
    from joblib.externals.loky import ProcessPoolExecutor  # noqa: PLC0415

    return cast(
        Executor,
        ProcessPoolExecutor(
            max_workers=workers,
            initializer=_start,
            initargs=(os.getpid(),),
            env=_ONE_THREAD,
        ),
    )


@contextmanager
def starting() -> Iterator[None]:
    """Within, Ctrl-C waits, also for the programs that are started here.

    loky starts its workers as it is given work. Ctrl-C goes to the whole terminal, and
    would end one that does not ignore it yet, with a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def wait_until_begun(given: "Iterable[Future[Any]]") -> None:
    """Wait until loky's own queue is empty: it trips over what is in it at its end."""
    deadline = time.monotonic() + HAND_OVER_S
    while time.monotonic() < deadline and any(
        not (future.running() or future.done()) for future in tuple(given)
    ):
        time.sleep(0.001)


def shut_down(executor: Executor) -> None:
    """End the workers, with what they have in hand."""
    executor.shutdown(wait=True, kill_workers=True)  # type: ignore[call-arg]


def _start(driver: int) -> None:
    """Make this process a worker: it dies with its driver and keeps to one core."""
    # The driver decides what comes of Ctrl-C, which was held back so far.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    die_with(driver, signal.SIGKILL)
    _keep_to_a_core()


def _keep_to_a_core() -> None:
    """Pin this thread, and the policies it starts, to the core with the fewest workers.

    Engine and policy take turns, and waking the other on another core costs 45 us
    more. A name bound in the abstract namespace marks a core as taken; the kernel frees
    it with the process.
    """
    cores = sorted(os.sched_getaffinity(0))
    for place, core in itertools.product(range(MAX_ON_A_CORE), cores):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(f"\0adrs/core/{core}/{place}")
        except OSError:
            claim.close()
            continue
        os.sched_setaffinity(0, {core})
        claim.detach()
        return
