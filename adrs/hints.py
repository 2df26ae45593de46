"""What a person may type next, as it can be pasted."""

import shlex
import sys
from pathlib import Path

from adrs import browse
from adrs.run_folder import WINNER
from adrs.settings import Settings

SCORED = frozenset((
    "experiment",
    "problem",
    "workload",
    "deployment",
    "companions",
    "isolation",
    "limits",
    "data",
))
"""Sections that ``score`` shares with ``evolve``: they say what is sat, and how."""


def after(settings: Settings, folder: Path, url: str | None, *, won: bool) -> str:
    """The commands for when a run has ended in ``folder``."""
    lines = ["", "next:"]
    if won:
        same = [word for word in settings.typed if _section(word) in SCORED]
        words = ("score", str(folder / WINNER), "split=held_out", *same)
        lines.append(f"  {typed(*words)}")
    of = [word for word in settings.typed if word.startswith("problem=")]
    lines.append(f"  {typed('leaderboard', *of)}")
    if url is not None:
        lines += [f"  {browse.command(folder.parent)}", f"  then open {url}"]
    return "\n".join(lines)


def again(settings: Settings) -> str:
    """The command that goes on with a run."""
    return typed("evolve", *settings.typed)


def typed(*words: str) -> str:
    """A command line, with the program as it was called."""
    called = sys.argv[0] if Path(sys.argv[0]).name == "adrs" else "adrs"
    return shlex.join((called, *words))


def _section(word: str) -> str:
    return word.split("=")[0].split(".")[0]
