"""Class X: to leave something for another policy, or to reach out of the machine."""

from tests.attacks.table import (
    ALONE,
    ANSWER,
    LAYERED,
    OS,
    REFUSED,
    Attack,
    ctypes_hook,
    hook,
)

KILLED = ("crash", "SIGSYS")
SOCKET = "s = statistics.sys.modules['socket']"


def _calls(family: str, kind: str, *lines: str) -> str:
    return hook(OS, SOCKET, f"one = s.socket(s.{family}, s.{kind})", *lines)


CROSSES = {
    "leaves a file": Attack(
        hook(OS, "os.close(os.open('$written', 0o101, 0o600))"),
        *REFUSED,
        LAYERED,
        "wrote",
    ),
    "makes a folder": Attack(
        hook(OS, "os.mkdir('$written')"), *REFUSED, LAYERED, "wrote"
    ),
    "renames a file": Attack(
        hook(OS, "os.rename('$file', '$written')"), *REFUSED, LAYERED, "wrote"
    ),
    "makes a link to a file": Attack(
        hook(OS, "os.symlink('$file', '$written')"), *KILLED, LAYERED, "wrote"
    ),
    "calls out by TCP": Attack(
        _calls("AF_INET", "SOCK_STREAM", "one.connect(('127.0.0.1', $tcp))"),
        *KILLED,
        LAYERED,
        "called",
    ),
    "calls out by UDP": Attack(
        _calls("AF_INET", "SOCK_DGRAM", "one.sendto(b'x', ('127.0.0.1', $udp))"),
        *KILLED,
        ("seccomp",),
        "called",
    ),
    "calls out by an abstract name": Attack(
        _calls("AF_UNIX", "SOCK_STREAM", "one.connect('\\x00$abstract')"),
        *KILLED,
        LAYERED,
        "called",
    ),
    "calls out by a path": Attack(
        _calls("AF_UNIX", "SOCK_STREAM", "one.connect('$path')"),
        *KILLED,
        ("seccomp",),
        "called",
    ),
    "leaves shared memory": Attack(
        ctypes_hook("libc.shmget($key, 4096, 0o1600)"),
        *KILLED,
        ("seccomp",),
        "shared",
    ),
    "leaves a set of semaphores": Attack(
        ctypes_hook("libc.semget($key, 1, 0o1600)"), *KILLED, ("seccomp",), "counted"
    ),
    "leaves a queue of messages": Attack(
        ctypes_hook("libc.msgget($key, 0o1600)"), *KILLED, ("seccomp",), "queued"
    ),
    "leaves code for others to import": Attack(
        hook(
            OS,
            "held = os.open('$folder/numba_cache.py', 0o101, 0o600)",
            "os.write(held, b'import os')",
        ),
        *REFUSED,
        ("limits", *LAYERED),
        "planted",
    ),
    "removes a file": Attack(
        hook(OS, "os.unlink('$file')"), *REFUSED, LAYERED, "removed"
    ),
    "empties a file": Attack(
        hook(OS, "os.truncate('$file', 0)"), *KILLED, LAYERED, "emptied"
    ),
    "opens a file to all": Attack(
        hook(OS, "os.chmod('$file', 0o777)"), *KILLED, ("seccomp",), "opened_up"
    ),
    "dates a file back": Attack(
        hook(OS, "os.utime('$file', (0, 0))"), *KILLED, ("seccomp",), "dated"
    ),
    "gives a file a second name": Attack(
        hook(OS, "os.link('$file', '$written')"), *KILLED, LAYERED, "wrote"
    ),
    "makes a pipe in a folder": Attack(
        hook(OS, "os.mkfifo('$written')"), *KILLED, LAYERED, "wrote"
    ),
    "listens for others": Attack(
        _calls(
            "AF_INET",
            "SOCK_STREAM",
            "one.bind(('127.0.0.1', 0)); one.listen()",
            "raise ValueError('TAKEN')",
        ),
        *KILLED,
        LAYERED,
        "boasted",
    ),
    "remembers another scenario": Attack(
        hook(
            "if len(waiting) == 1 and hasattr(np, 'seen'): raise ValueError('TAKEN')",
            "np.seen = True",
            ANSWER,
        ),
        "",
        "",
        ALONE,
        "boasted",
        times=2,
    ),
}
