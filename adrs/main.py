"""The console command: ``adrs VERB [WORD] [key=value ...] [-m]``."""

import difflib
import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Protocol, cast

from adrs.commands import verbs
from adrs.interruption import INTERRUPTED
from adrs.terminal import fill_missing, let_go, note, note_if_heard, say

USAGE = "usage: adrs VERB [WORD] [key=value ...] [-m]"
OURS = ("adrs", "evaluators")


class Command(Protocol):
    """A module of ``adrs.commands``."""

    def run(self, settings: object) -> int:
        """Do what the verb says; returns the exit code."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code.

    0: done; 1: it could not be done; 2: it was not understood; 130: interrupted.
    """
    fill_missing()
    try:
        return _answered(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        note_if_heard("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        let_go(sys.stdout)
        return 1
    except OSError as error:
        return _failed(error)


def _answered(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        say(_help())
        return 0
    verb, rest = words[0], words[1:]
    if verb not in verbs():
        return _misunderstood(_unknown_verb(verb))
    return _dispatch(verb, rest)


def _dispatch(verb: str, rest: list[str]) -> int:
    from adrs import settings  # noqa: PLC0415 (Hydra; adrs --help stays quick)

    flags = {word for word in rest if word.startswith("-")}
    words = tuple(word for word in rest if word not in flags and "=" not in word)
    overrides = tuple(word for word in rest if word not in flags and "=" in word)
    try:
        if flags & {"-h", "--help"}:
            say(_verb_help(verb))
            return 0
        if flags - {"-m", "--multirun"}:
            return _misunderstood(f"unknown flag {min(flags)}; there are --help and -m")
        jobs = settings.jobs(overrides) if flags else [overrides]
        composed = [settings.settings(verb, settings.Arguments(words, j)) for j in jobs]
    except settings.SettingsError as error:
        return _misunderstood(str(error))
    return _run_all(verb, list(zip(jobs, composed, strict=True)))


def _run_all(verb: str, jobs: list[tuple[tuple[str, ...], object]]) -> int:
    """Run the jobs in turn until one is interrupted; returns the highest exit code."""
    command = cast(Command, importlib.import_module(f"adrs.commands.{verb}"))
    codes = []
    for number, (overrides, settings) in enumerate(jobs, start=1):
        if len(jobs) > 1:
            note(f"job {number} of {len(jobs)}: {' '.join(overrides)}")
        codes.append(_run(command, settings))
        if codes[-1] == INTERRUPTED:
            break
    return max(codes)


def _run(command: Command, settings: object) -> int:
    try:
        return command.run(settings)
    except BrokenPipeError:
        raise
    except Exception as error:
        if not _is_for_the_user(error):
            raise
        return _failed(error)


def _failed(error: Exception) -> int:
    note(f"error: {' '.join(str(error).split())}")
    return 1


def _is_for_the_user(error: Exception) -> bool:
    """Whether the message is for whoever typed the command; all else is a bug.

    So are errors of our own classes, of the system, and a ``ValueError`` that one of
    our files raised itself.
    """
    if isinstance(error, OSError) or type(error).__module__.split(".")[0] in OURS:
        return True
    frames = [frame.f_globals for frame, _ in traceback.walk_tb(error.__traceback__)]
    innermost = str(frames[-1].get("__name__", "")).split(".")[0]
    return isinstance(error, ValueError) and innermost in OURS


def _misunderstood(line: str) -> int:
    note(line)
    return 2


def _unknown_verb(verb: str) -> str:
    near = difflib.get_close_matches(verb, verbs(), 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(verbs())}"
    return f"unknown verb {verb}; {hint}"


def _help() -> str:
    lines = [f"  {verb:<12} {title}" for verb, title in verbs().items()]
    return "\n".join((
        USAGE,
        "",
        *lines,
        "",
        "adrs VERB --help lists what it can be told.",
    ))


def _verb_help(verb: str) -> str:
    from adrs import settings  # noqa: PLC0415 (as above)

    members = settings.groups(verb).items()
    leaves = settings.defaults(verb).leaves()
    return "\n".join((
        f"adrs {verb}: {verbs()[verb]}",
        *["\nGroups (group=member):"] * bool(members),
        *(f"  {group}: {', '.join(names)}" for group, names in members),
        "\nKeys (key=value) with their defaults:",
        *(f"  {key}={_shown(value)}" for key, value in leaves),
    ))


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    code = main()
    # Where Ctrl-C came within an exec of some text, as dataclasses are made by, Python
    # ends by the signal although it was caught; unless another text ran after it.
    exec("")
    sys.exit(code)
