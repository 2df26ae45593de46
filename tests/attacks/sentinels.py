"""Whether an attack got what it was after: of the prey, or of its own outcome."""

import math
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from tests.attacks.exams import plain_score
from tests.attacks.prey import found_by, segment
from tests.sandbox_problem import exam

WAIT_S = 2.0


def told(prey, outcome):
    """It holds the secret, and says so."""
    return outcome.failure is not None and prey.secret in outcome.failure.message


def fell(prey, outcome):
    """No outcome tells: who judged it is no more."""
    return False


def boasted(prey, outcome):
    """It did the deed, and says so."""
    return outcome.failure is not None and "TAKEN" in outcome.failure.message


def wrote(prey, outcome):
    """It left a file."""
    return (prey.folder / "written").exists()


def killed(prey, outcome):
    """It killed the victim."""
    try:
        return prey.victim.wait(WAIT_S * boasted(prey, outcome)) == -signal.SIGKILL
    except subprocess.TimeoutExpired:
        return False


def limited(prey, outcome):
    """It changed a limit of the victim."""
    limits = resource.prlimit(prey.victim.pid, resource.RLIMIT_NOFILE)
    return limits != resource.getrlimit(resource.RLIMIT_NOFILE)


def slowed(prey, outcome):
    """It took the victim's turn at the processor."""
    return os.getpriority(os.PRIO_PROCESS, prey.victim.pid) == 19


def moved(prey, outcome):
    """It moved the victim to one core."""
    mine = os.sched_getaffinity(0)
    return os.sched_getaffinity(prey.victim.pid) != mine


def stopped(prey, outcome):
    """It stopped the victim."""
    deadline = time.monotonic() + WAIT_S * boasted(prey, outcome)
    while time.monotonic() < deadline:
        line = Path(f"/proc/{prey.victim.pid}/stat").read_text()
        if line.rpartition(")")[2].split()[0] == "T":
            return True
    return False


def called(prey, outcome):
    """It reached a listener."""
    return any(_was_called(listener) for listener in prey.listeners.values())


def _was_called(listener):
    try:
        if listener.type == socket.SOCK_DGRAM:
            return bool(listener.recv(99))
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def shared(prey, outcome):
    """It left a shared segment of memory."""
    return segment(prey.key) >= 0


def left_behind(prey, outcome):
    """A process that it started was found after its end."""
    message = outcome.failure.message if outcome.failure else ""
    return "left processes behind" in message


def orphaned(prey, outcome):
    """It ended the process above it, each time."""
    return outcome.failure is not None and "3 times" in outcome.failure.message


def doubled(prey, outcome):
    """It could send as somebody else too, which the nonces notice."""
    return outcome.failure is not None and outcome.failure.kind == "protocol"


def overwritten(prey, outcome):
    """It changed memory of ours."""
    return prey.memory.value == b"tampered" + prey.secret[8:].encode()


def tampered(prey, outcome):
    """It changed a module that the judge uses too."""
    return hasattr(np, "tampered")


def miscounted(prey, outcome):
    """It changed a number that the judge counts with."""
    return math.inf == 0.0


def reseeded(prey, outcome):
    """It chose what the judge draws next."""
    return np.random.get_state()[1][0] == 12345  # noqa: NPY002


def foresaw(prey, outcome):
    """It told the state of the judge's generator."""
    state = np.random.get_state()[1][0]  # noqa: NPY002
    return outcome.failure is not None and str(state) in outcome.failure.message


def knew_lengths(prey, outcome):
    """It told the hidden lengths of a scenario."""
    lengths = str(exam().scenario.trace.output_tokens.tolist())
    return outcome.failure is not None and lengths in outcome.failure.message


def knew_arrivals(prey, outcome):
    """It told when the last request of a scenario will arrive."""
    last = str(exam().scenario.trace.arrived_ps[-1])
    return outcome.failure is not None and last in outcome.failure.message


def profiled(prey, outcome):
    """It is told of every call of the judge's."""
    return sys.getprofile() is not None


def muted(prey, outcome):
    """It took the judge's standard output."""
    return type(sys.stdout).__name__ == "Attack"


def deafened(prey, outcome):
    """The judge no longer ends when it is asked to."""
    return signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


def perfect(prey, outcome):
    """It has the highest score there is."""
    return outcome.score == 1.0


def fooled(prey, outcome):
    """It was scored, as if nothing had been wrong."""
    return outcome.failure is None


def gained(prey, outcome):
    """It scores more than the engine's own rules."""
    return outcome.score > plain_score(outcome.scenario)


def broke(prey, outcome):
    """The judge stumbled over it, or broke a law of its own."""
    return outcome.failure is not None and outcome.failure.kind == "broken"


def poisoned(prey, outcome):
    """Its score is no number."""
    return math.isnan(outcome.score)


def blamed_us(prey, outcome):
    """What it claims to have ended it is what only the judge can know."""
    return outcome.failure is not None and outcome.failure.kind == "no_progress"


def swelled(prey, outcome):
    """The judge took in all of an answer that was too large."""
    return outcome.failure is not None and "shape" in outcome.failure.message


def wrote_lines(prey, outcome):
    """What it said would stand in lines of its own, or is longer than may be."""
    message = outcome.failure.message if outcome.failure else ""
    return not message.isprintable() or len(message) > 200


def counted(prey, outcome):
    """It left semaphores."""
    return found_by("semget", prey.key) >= 0


def queued(prey, outcome):
    """It left a queue of messages."""
    return found_by("msgget", prey.key) >= 0


def planted(prey, outcome):
    """It left code."""
    path = prey.folder / "numba_cache.py"
    return path.exists() and bool(path.stat().st_size)


def removed(prey, outcome):
    """It removed a file."""
    return not (prey.folder / "secret.txt").exists()


def emptied(prey, outcome):
    """It emptied a file."""
    return not (prey.folder / "secret.txt").stat().st_size


def opened_up(prey, outcome):
    """It lets everybody change a file."""
    return stat.S_IMODE((prey.folder / "secret.txt").stat().st_mode) == 0o777


def dated(prey, outcome):
    """It made a file look old."""
    return (prey.folder / "secret.txt").stat().st_mtime == 0


def became_another(prey, outcome):
    """A program that it ran ended in its stead."""
    return outcome.failure is not None and "code 77" in outcome.failure.message
