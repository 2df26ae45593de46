"""What attacks are after, laid out on this machine, and whether they got it."""

import ctypes
import os
import resource
import secrets
import signal
import socket
import string
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

SLEEPS = "import time; time.sleep(600)"
WAIT_S = 2.0
SHM_KEY_BITS = 30


class Prey(NamedTuple):
    """Things outside a policy's process, each holding a secret of this test alone."""

    secret: str
    folder: Path
    victim: subprocess.Popen
    memory: ctypes.Array
    listeners: dict[str, socket.socket]
    key: int

    def armed(self, source):
        """The source with the places of the prey in it."""
        at = {name: one.getsockname() for name, one in self.listeners.items()}
        return string.Template(source).safe_substitute(
            file=self.folder / "secret.txt",
            folder=self.folder,
            written=self.folder / "written",
            module=f"module_{self.key}",
            victim=self.victim.pid,
            keeper=os.getpid(),
            address=ctypes.addressof(self.memory),
            tcp=at["tcp"][1],
            udp=at["udp"][1],
            abstract=at["abstract"][1:].decode(),
            path=at["path"],
            key=self.key,
        )


@contextmanager
def prey(folder):
    """Fresh prey, and nothing of it left afterwards."""
    secret, key = secrets.token_hex(8), secrets.randbits(SHM_KEY_BITS)
    (folder / "secret.txt").write_text(secret)
    (folder / f"module_{key}.py").write_text(f"found = {secret!r}\n")
    (folder / f"named_{secret}").touch()
    folder.chmod(0o777)
    with ExitStack() as stack:
        victim = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-S", "-c", SLEEPS], env={"SECRET": secret}
            )
        )
        stack.callback(victim.kill)
        listeners = {
            name: stack.enter_context(one) for name, one in _listening(folder, secret)
        }
        memory = ctypes.create_string_buffer(secret.encode())
        stack.callback(_remove_segment, key)
        yield Prey(secret, folder, victim, memory, listeners, key)


def _listening(folder, secret):
    """A socket of each kind, with the kind's name."""
    places = {
        "tcp": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        "udp": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, f"\0{secret}"),
        "path": (socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "socket")),
    }
    for name, (family, kind, address) in places.items():
        listener = socket.socket(family, kind)
        listener.bind(address)
        listener.settimeout(0)
        if kind == socket.SOCK_STREAM:
            listener.listen()
        yield name, listener


def _segment(key):
    return ctypes.CDLL(None).shmget(key, 0, 0)


def _remove_segment(key):
    if (segment := _segment(key)) >= 0:
        ctypes.CDLL(None).shmctl(segment, 0, None)


def told(prey, outcome):
    """It holds the secret, and says so."""
    return outcome.failure is not None and prey.secret in outcome.failure.message


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
        stat = Path(f"/proc/{prey.victim.pid}/stat").read_text()
        if stat.rpartition(")")[2].split()[0] == "T":
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
    return _segment(prey.key) >= 0


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
    import numpy as np

    return vars(np).pop("tampered", False)


def became_another(prey, outcome):
    """A program that it ran ended in its stead."""
    return outcome.failure is not None and "code 77" in outcome.failure.message
