"""How well policies are isolated on this machine, found by trying to break out.

A level is what all of the attempts of ``evaluators.probes`` have shown, never what a
version promises. "strict" is the default and the only one that ranks; the weaker ones
say that Landlock or seccomp ("partial") or both ("rlimits") do not hold here.
"""

import functools
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import NamedTuple

from adrs.conversation import Conversation
from adrs.remote import RemotePolicy
from adrs.zygote import Ending, Zygote, ZygoteError
from evaluators.confine import LAYERS, ConfinementError, Limits
from evaluators.evaluation import PolicyError
from evaluators.probes import ALL, DONE, OUTER, PROBES, REFUSED, Probe, bait_name
from evaluators.problem import Hook

LEVELS = ("strict", "partial", "rlimits")
"""The strongest first."""

STRICT = LEVELS[0]
OPTIONAL_LAYERS = ("landlock", "seccomp")
"""What a weaker level does without."""

BASE = tuple(layer for layer in LAYERS if layer not in OPTIONAL_LAYERS)
"""Without these nothing runs."""

_log = logging.getLogger(__name__)
_LIMITS = Limits(cpu_s=10, wall_s=60, memory_bytes=1 << 28)
_GRACE_S = 10.0
_SOURCE = "class Probe:\n    def probe(self):\n        return 1\n"
_HOOK = Hook("probe", (), "count", "whether it answers", "once")


class IsolationError(Exception):
    """This machine cannot isolate a policy as asked."""


class Finding(NamedTuple):
    """What came of one attempt to break out; ``detail`` says it in words.

    ``layer`` is the one to blame: the probe's own, or one below that failed.
    """

    layer: str
    probe: Probe
    is_refused: bool
    detail: str


class Report(NamedTuple):
    """What came of all attempts, in the order of the layers."""

    findings: tuple[Finding, ...]

    @property
    def missing(self) -> dict[str, str]:
        """Layers that do not hold here, with what shows it."""
        missing: dict[str, str] = {}
        for layer, probe, is_refused, detail in self.findings:
            if probe.is_required and not is_refused:
                missing.setdefault(layer, detail)
        return missing

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers that hold here."""
        return tuple(layer for layer in LAYERS if layer not in self.missing)

    @property
    def level(self) -> str | None:
        """The strongest level that holds here; None where nothing may run."""
        if set(self.missing) & set(BASE):
            return None
        return LEVELS[len(self.missing)]


def in_force(least: str) -> Report:
    """What holds here, if that is at least the level ``least``.

    Raises ``ValueError`` for no level, and ``IsolationError`` that names what is
    missing and what would accept that.
    """
    if least not in LEVELS:
        raise ValueError(f"isolation is {least!r}; expected one of {', '.join(LEVELS)}")
    report = probed()
    level = report.level
    gaps = "; ".join(f"{layer} ({why})" for layer, why in report.missing.items())
    if level is not None and LEVELS.index(level) <= LEVELS.index(least):
        if level != STRICT:
            _log.warning("isolation is only %s: no %s; nothing will rank", level, gaps)
        return report
    way_out = (
        "nothing weaker may run"
        if level is None
        else f"isolation={level} accepts that, and its results are never ranked"
    )
    raise IsolationError(f"isolation {least} lacks {gaps}: {way_out}")


@functools.cache
def probed() -> Report:
    """What holds on this machine, tried out once a process.

    Raises ``IsolationError`` where no policy process works at all.
    """
    _check_platform()
    zygote = Zygote()
    try:
        report = Report(_findings(zygote))
        if report.level is not None:
            _ask(zygote, report.layers)
    except (OSError, ZygoteError, PolicyError, ConfinementError) as error:
        raise IsolationError(f"a policy process does not work here: {error}") from error
    finally:
        zygote.close()
    return report


def outer() -> dict[str, bool]:
    """Whether this machine could do what no level asks for, by name.

    Raises ``IsolationError`` as ``probed`` does.
    """
    _check_platform()
    zygote = Zygote()
    try:
        return {
            probe.name: _ending(zygote, probe)[:2] == (DONE, None) for probe in OUTER
        }
    except (OSError, ZygoteError, ConfinementError) as error:
        raise IsolationError(f"a policy process does not work here: {error}") from error
    finally:
        zygote.close()


def _check_platform() -> None:
    if sys.platform != "linux":
        raise IsolationError(
            f"policies are isolated with Linux facilities; this is {sys.platform}: "
            "run in a Linux container or virtual machine"
        )


def _findings(zygote: Zygote) -> tuple[Finding, ...]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bait:
        bait.bind(bait_name(os.getpid()))
        bait.listen()
        return tuple(_finding(zygote, probe) for probe in PROBES)


def _finding(zygote: Zygote, probe: Probe) -> Finding:
    try:
        ending = _ending(zygote, probe)
    except ConfinementError as error:
        return Finding(error.layer, probe, False, str(error.reason))
    if ending.ended_by is None:
        is_refused, how = ending.code == REFUSED, "refused"
    else:
        is_refused = ending.ended_by is signal.SIGSYS and probe.layer == "seccomp"
        how = f"ended by {ending.ended_by.name}"
    detail = how if is_refused else f"a policy can {probe.name}"
    return Finding(probe.layer, probe, is_refused, detail)


def _ending(zygote: Zygote, probe: Probe) -> Ending:
    """Make one attempt under its own layer and those that it stands on."""
    layers = {*BASE, probe.layer}
    with zygote.forked(_LIMITS, layers, ALL.index(probe)) as process:
        return zygote.reap(process, _GRACE_S)


def _ask(zygote: Zygote, layers: Sequence[str]) -> None:
    """Have a policy answer from behind all layers; raises what goes wrong."""
    with zygote.forked(_LIMITS, layers) as process:
        policy = RemotePolicy(Conversation(process, _LIMITS), _SOURCE, (_HOOK,))
        answer = getattr(policy, _HOOK.name)()
    assert answer == 1
