"""The secret that keys draws which no policy may foresee, kept in a file of its own.

It reaches no policy, no model, no journal and no leaderboard: a policy that knows the
code and all public seeds cannot draw validation or held-out again.
"""

import hashlib
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from adrs.writable import writing

PUBLIC = "public"
LEAST_BYTES = 16


def chosen(setting: str | None, default: Path) -> bytes:
    """What a setting says: the file of that name, ``default``, or "public" for none.

    A file that is not there is made. Raises ``ValueError`` or ``OSError``.
    """
    if setting == PUBLIC:
        return b""
    return kept(Path(setting).expanduser() if setting else default)


def kept(path: Path) -> bytes:
    """The secret in a file; a new one, that only its owner reads, if there is none.

    Raises ``ValueError`` when the file holds less than 16 bytes and ``OSError`` when it
    can be neither read nor made.
    """
    if not path.exists():
        _make(path)
    found = path.read_bytes().strip()
    if len(found) < LEAST_BYTES:
        raise ValueError(
            f"{path} holds a secret of {len(found)} bytes; expected at least "
            f"{LEAST_BYTES}, such as a line of /dev/urandom's, or no file"
        )
    return found


def mark(secret: bytes) -> str:
    """What may be told of a secret: equal where it is, and no way back to it."""
    if not secret:
        return PUBLIC
    return hashlib.sha256(b"mark of a secret\0" + secret).hexdigest()[:16]


def _make(path: Path) -> None:
    """Write a new secret, whole or not at all; another process's stays."""
    with writing(path, "secret=FILE"):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32) + "\n")
                file.flush()
                os.fsync(descriptor)
            with suppress(FileExistsError):
                os.link(part, path)
        finally:
            os.unlink(part)
