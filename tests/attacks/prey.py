"""What attacks are after, laid out on this machine."""

import ctypes
import os
import secrets
import socket
import string
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

SLEEPS = "import time; time.sleep(3600)"
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
    works_in = folder / f"named_{secret}"
    works_in.mkdir()
    folder.chmod(0o777)
    with ExitStack() as stack:
        victim = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-S", "-c", SLEEPS, secret],
                env={"SECRET": secret},
                cwd=works_in,
            )
        )
        stack.callback(victim.kill)
        # Until a program is loaded it has neither environment nor arguments.
        while not Path(f"/proc/{victim.pid}/cmdline").read_bytes():
            time.sleep(0.001)
        listeners = {
            name: stack.enter_context(one) for name, one in _listening(folder, secret)
        }
        stack.enter_context(patch.dict(os.environ, ADRS_PREY=secret))
        stack.enter_context(patch.object(sys, "argv", [*sys.argv, secret]))
        memory = ctypes.create_string_buffer(secret.encode())
        stack.callback(_remove_segment, key)
        stack.callback(_remove, "semget", "semctl", key)
        stack.callback(_remove, "msgget", "msgctl", key)
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


def segment(key):
    return ctypes.CDLL(None).shmget(key, 0, 0)


def _remove_segment(key):
    if (left := segment(key)) >= 0:
        ctypes.CDLL(None).shmctl(left, 0, None)


def found_by(get, key):
    more = (0, 0) if get == "semget" else (0,)
    return getattr(ctypes.CDLL(None), get)(key, *more)


def _remove(get, control, key):
    if (found := found_by(get, key)) >= 0:
        more = (0, 0) if control == "semctl" else (0, None)
        getattr(ctypes.CDLL(None), control)(found, *more)
