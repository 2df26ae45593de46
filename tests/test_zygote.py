"""A zygote that is being ended: however often it is told, nothing of it remains."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from adrs.zygote import Zygote
from evaluators import descendants, zygote
from evaluators.confine import Limits, adopt_orphans
from evaluators.frames import Channel
from tests.acceptance.test_kills import adopting, alive
from tests.test_sandbox import below, wait_until


def spare_child():
    """A process that has not come to ending with its parent yet."""
    process = os.fork()
    if process == 0:
        time.sleep(60)
        os._exit(0)
    return process


def tell_again(call):
    """The function, at each call of which this process is told once more to end."""

    def called():
        os.kill(os.getpid(), signal.SIGTERM)
        return call()

    return called


def zygote_with(is_known, is_told):
    """A zygote with such a child, that is told to end, or hears that nobody listens."""
    process = os.fork()
    if process:
        return process
    try:
        signal.signal(signal.SIGTERM, zygote._end)
        adopt_orphans()
        child = spare_child()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one = zygote.Zygote(theirs, Channel(theirs, 0))
        if is_known:
            one._live.add(child)
        ours.close()
        if is_told:
            one._serve = tell_again(one._serve)
        descendants._parents = tell_again(descendants._parents)
        one.serve()
    finally:
        os._exit(0)


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("is_told", [True, False])
def test_a_zygote_told_again_to_end_leaves_no_child(is_known, is_told):
    with adopting() as orphans:
        process = zygote_with(is_known, is_told)
        os.waitpid(process, 0)
        left = below(os.getpid()) - orphans
        try:
            wait_until(lambda: not any(map(alive, left)), 5)
        finally:
            for one in filter(alive, left):
                os.kill(one, signal.SIGKILL)


def killed_at(look):
    """A zygote without a parent that is killed as it looks so often at processes."""
    process = os.fork()
    if process:
        return process
    try:
        adopt_orphans()
        spare_child()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.close()
        looks, parents = iter(range(look)), descendants._parents

        def looked():
            if next(looks) == look - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return parents()

        descendants._parents = looked
        zygote.Zygote(theirs, Channel(theirs, 0)).serve()
    finally:
        os._exit(0)


@pytest.mark.parametrize("look", [1, 2, 3])
def test_a_zygote_killed_as_it_ends_leaves_no_child_stopped(look):
    with adopting() as orphans:
        os.waitpid(killed_at(look), 0)
        left = [one for one in below(os.getpid()) - orphans if alive(one)]
        states = [Path(f"/proc/{one}/status").read_text() for one in left]
        for one in left:
            os.kill(one, signal.SIGKILL)
            os.waitpid(one, 0)
    assert not any("(stopped)" in state for state in states)


def interrupt(one):
    """Ctrl-C for us while a zygote, that is stopped, does not answer."""
    wait_until(lambda: one.id)
    process = one.id
    os.kill(process, signal.SIGSTOP)
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)
    os.kill(process, signal.SIGCONT)


@pytest.fixture
def hears_ctrl_c():
    """Python as it is at a terminal, also where it was started to ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.parametrize("has_started", [True, False])
def test_what_ctrl_c_did_not_wait_for_is_no_answer_to_what_is_asked_next(has_started):
    one, limits = Zygote(), Limits(cpu_s=10, wall_s=60, memory_bytes=1 << 26)
    if has_started:
        with one.forked(limits) as process:
            one.reap(process)
    thread = threading.Thread(target=interrupt, args=(one,))
    with pytest.raises(KeyboardInterrupt):
        thread.start()
        with one.forked(limits):
            thread.join()
    thread.join()
    for _ in range(2):
        with one.forked(limits) as process:
            assert below(one.id) == {process.id}
            assert one.reap(process).ended_by is signal.SIGKILL
    one.close()
