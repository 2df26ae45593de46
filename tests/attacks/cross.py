"""Class X: to leave something for another policy, or to reach out of the machine."""

from tests.attacks.table import LAYERED, OS, REFUSED, Attack, ctypes_hook, hook

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
}
