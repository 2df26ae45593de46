"""The folder of one run: which it is, whether it goes on, and with what settings."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from adrs.writable import writing

JOURNAL, CONTROL = "journal.jsonl", "control.jsonl"
CONFIG, REPLIES, WINNER = "config.json", "replies.jsonl", "winner.py"
SECRET = "secret"
"""Kept from policies and models; the journal has a hash of it."""
SUMMARY = "summary.txt"
"""Written last: a run without it goes on, and shows and reports its end again."""
INCIDENTAL = ("run", "workers", "tracking", "data", "secret")
"""Sections that do not change what is found, only where and how fast.

That the secret is the same is held by the journal: it may be in another file.
"""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run is kept; ``digest`` stands for its settings.

    ``search_digest`` stands for those besides the model, which may be a recorded one.
    ``is_resumed`` tells that an earlier process began it, ``has_secret`` that there was
    a secret in it before this one.
    """

    path: Path
    digest: str
    search_digest: str
    is_resumed: bool
    has_secret: bool = False

    @property
    def name(self) -> str:
        """Name that resumes it: ``run=NAME``."""
        return self.path.name

    def finish(self, summary: str) -> None:
        """Keep what the run came to; from now on it is finished."""
        part = self.path / f".{SUMMARY}"
        part.write_text(summary + "\n", encoding="utf-8")
        part.replace(self.path / SUMMARY)

    def discard(self) -> None:
        """Remove what was begun of a run that was refused; what else is there stays."""
        made = (JOURNAL, CONFIG) if self.has_secret else (JOURNAL, CONFIG, SECRET)
        for name in made:
            (self.path / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()


def claim(runs: Path, settings: Mapping[str, Any], problem: str) -> RunFolder:
    """The folder of a run with these settings, made if it is not there.

    The name is ``settings["run"]``, else the problem with the digest of the settings.
    An unfinished folder of that name is gone on with, past a finished one is counted
    up. Raises ``ValueError`` when the unfinished one has other settings and ``OSError``
    when the place is not writable.
    """
    decisive = {key: settings[key] for key in settings if key not in INCIDENTAL}
    search = {key: value for key, value in decisive.items() if key != "llm"}
    digest = _digest(decisive)
    name = settings["run"] or f"{problem}-{digest[:8]}"
    if Path(name).name != name or name.startswith("."):
        raise ValueError(f"run is {name!r}; expected a plain folder name")
    path = next(place for place in _places(runs, name) if not is_finished(place))
    is_resumed, has_secret = (path / JOURNAL).exists(), (path / SECRET).exists()
    if is_resumed:
        _check_same(path, decisive)
    else:
        _begin(path, json.dumps(dict(settings), indent=2, sort_keys=True) + "\n")
    return RunFolder(path, digest, _digest(search), is_resumed, has_secret)


def _digest(settings: Mapping[str, Any]) -> str:
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_incidental(key: str) -> bool:
    """Whether a dotted key may change from one process of a run to the next."""
    return key.split(".")[0] in INCIDENTAL


def is_finished(path: Path) -> bool:
    """Whether the run in this folder came to its end, and said so."""
    return (path / SUMMARY).exists()


def _begin(path: Path, config: str) -> None:
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        (path / CONFIG).write_text(config, encoding="utf-8")


def _places(runs: Path, name: str) -> Iterator[Path]:
    yield runs / name
    yield from (runs / f"{name}-{number}" for number in count(2))


def begun_with(path: Path) -> dict[str, Any]:
    """The settings that the run in this folder was begun with.

    Raises ``ValueError`` for a file that does not hold them, ``FileNotFoundError``.
    """
    try:
        stored = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except ValueError:
        stored = None
    if not isinstance(stored, dict):
        raise ValueError(f"{path / CONFIG} is broken; name another run")
    return stored


def _check_same(path: Path, settings: Mapping[str, Any]) -> None:
    before, now = dict(_flat(begun_with(path))), dict(_flat(settings))
    differ = [
        key
        for key in sorted(before.keys() | now.keys())
        if not is_incidental(key) and before.get(key) != now.get(key)
    ]
    if differ:
        key = differ[0]
        raise ValueError(
            f"{path} was begun with {key}={before.get(key)}, not {now.get(key)}; "
            "repeat its settings to go on, or name another run"
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
