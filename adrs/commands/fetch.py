"""Get a public trace from the project that publishes it."""

import hashlib
import json
import os
import urllib.request
from contextlib import suppress
from dataclasses import asdict
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from typing import Protocol

from adrs.terminal import note, say
from evaluators.workloads.catalogue import PublicTrace, parts, public_trace
from evaluators.workloads.replay import data_folder

TIMEOUT_S = 30
MOST_BYTES = 256 << 20


class FetchSettings(Protocol):
    """What this command reads of the configuration."""

    name: str
    data: str | None
    format: str


class FetchError(OSError):
    """The trace could not be had, or is not what was published."""


def run(settings: FetchSettings) -> int:
    """Fetch the named trace, and its parts, into ``traces`` of the data folder.

    Raises ``FetchError`` or, for an unknown name, ``ValueError``, with one line.
    """
    trace = public_trace(settings.name)
    root = Path(settings.data).expanduser() if settings.data else data_folder()
    path = fetch(trace, root / "traces")
    for part in parts(trace.name):
        fetch(part, root / "traces")
    if trace.sha256 is None:
        note(f"unverified: no SHA-256 of {trace.name} is known here")
    if settings.format == "json":
        say(json.dumps({**asdict(trace), "path": str(path)}, indent=2))
        return 0
    say(f"{trace.name}: {path.stat().st_size:,} bytes in {path}")
    workload = trace.part_of or trace.name
    say(f"{trace.licence}, {trace.paper}; use it with workload={workload}")
    return 0


def fetch(trace: PublicTrace, folder: Path) -> Path:
    """Download, verify and keep a trace; an earlier copy stays if that fails.

    Raises ``FetchError`` with one line.
    """
    content = download(trace.url)
    verify(trace, content)
    return keep(content, folder / trace.file)


def download(url: str) -> bytes:
    """Content behind a URL; raises ``FetchError`` saying what to do instead."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            content: bytes = response.read(MOST_BYTES + 1)
            declared = int(response.headers.get("Content-Length") or len(content))
            if len(content) < min(declared, MOST_BYTES):
                raise IncompleteRead(content, declared - len(content))
    except (OSError, HTTPException, ValueError) as error:
        raise FetchError(
            f"cannot get {url}: {error}; without a network, get the file elsewhere and "
            "name it with workload.data=PATH"
        ) from None
    if len(content) > MOST_BYTES:
        raise FetchError(f"{url} is larger than {MOST_BYTES:,} bytes; not kept")
    return content


def verify(trace: PublicTrace, content: bytes) -> None:
    """Raise ``FetchError`` unless the content is what was hashed, where it was."""
    found = hashlib.sha256(content).hexdigest()
    if trace.sha256 is not None and found != trace.sha256:
        raise FetchError(
            f"{trace.url} has SHA-256 {found}; expected {trace.sha256}; not kept. "
            "If its project changed it, download it by hand: workload.data=PATH"
        )


def keep(content: bytes, path: Path) -> Path:
    """Write a file as a whole or not at all; raises ``FetchError``."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise FetchError(f"cannot write {path}: {error}; choose data=FOLDER") from None
    return path
