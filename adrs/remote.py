"""The engine's end of the conversation with a policy in another process."""

import itertools
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from numpy.typing import NDArray

from adrs.decisions import Entry
from adrs.zygote import Process
from evaluators import frames
from evaluators.child import FAILURES
from evaluators.confine import Limits
from evaluators.evaluation import FailureKind, PolicyError
from evaluators.manners import Manner, heard
from evaluators.mirror import Teller
from evaluators.problem import Hook, arguments
from evaluators.views import Parts

TICK_S = 0.05
"""How often the limits are checked while no answer comes."""

MAX_ANSWERED_BYTES = 1 << 28
"""Most that a policy may answer on one scenario; the log of it is kept."""

_OWN_FAULTS = frozenset((
    "source",
    "interface",
    "exception",
    "decision",
    "memory_limit",
))
"""What a policy's process may say of itself; the rest is told from outside."""


_ANSWER_PARTS = {"grants": 2, "nothing": 0}
"""Arrays that an answer has, by what the hook returns, where it is not one."""


class Conversation:
    """Questions to one policy process and its answers, within its limits.

    ``is_lost`` tells that the process closed its end: how it ended says why.
    """

    def __init__(self, process: Process, limits: Limits) -> None:
        self.is_lost = False
        self._process = process
        self._limits = limits
        self._nonces = _nonces()
        self._subject = "the policy"
        self._asked_at_s = 0.0
        self._waited_s = 0.0
        self._check_at_s = TICK_S
        tick = struct.pack("ll", 0, int(TICK_S * 1e6))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            process.connected.setsockopt(socket.SOL_SOCKET, option, tick)
        self._channel = frames.Channel(
            process.connected, frames.MAX_ANSWER_BYTES, self._check_limits
        )

    def ask(self, subject: str, kind: int, payload: bytes) -> Parts:
        """Arrays that the policy answers; raises ``PolicyError`` for all else."""
        self._subject = subject
        nonce = next(self._nonces)
        self._asked_at_s = time.monotonic()
        try:
            self._channel.send(nonce, kind, payload)
            answer = self._channel.receive_answer(nonce)
            now_s = time.monotonic()
            self._waited_s += now_s - self._asked_at_s
            if self._waited_s > self._check_at_s:
                self._asked_at_s = now_s
                self._check_limits()
                self._check_at_s = self._waited_s + TICK_S
            return _answer(answer, nonce)
        except frames.FrameError as error:
            raise PolicyError("protocol", f"{subject}: {error}") from None
        except frames.ClosedError:
            self.is_lost = True
            raise PolicyError("crash", f"{subject}: its process ended") from None

    def tell(self, subject: str, kind: int, payload: bytes) -> None:
        """Send what needs no answer; that nobody listens shows at the next question."""
        self._subject = subject
        self._asked_at_s = time.monotonic()
        try:
            self._channel.send(next(self._nonces), kind, payload)
        except frames.ClosedError:
            self.is_lost = True
        finally:
            self._waited_s += time.monotonic() - self._asked_at_s

    def has_stray_input(self) -> bool:
        """Whether the policy sent something that nobody asked for."""
        return self._channel.has_input()

    def _check_limits(self) -> None:
        """Raise ``PolicyError`` if CPU or waiting time is used up."""
        limits = self._limits
        if _cpu_s(self._process.id) > limits.cpu_s:
            raise PolicyError("cpu_limit", over_cpu_limit(limits, self._subject))
        waited_s = self._waited_s + time.monotonic() - self._asked_at_s
        if waited_s > limits.wall_s:
            raise PolicyError(
                "wall_limit",
                f"{self._subject}: no answer within {limits.wall_s:g} s, of all "
                "questions of a scenario together",
            )


class RemotePolicy:
    """A policy in another process: its hooks and its manners, as attributes.

    Each hook sends the rows of the table that changed since the last question and the
    parts of the views it is given, and returns arrays; one that returns nothing does
    not wait, and what it raises comes with the next question. ``entries`` are all the
    answers so far; ``has`` names its hooks. Raises ``PolicyError``
    with what the policy did wrong, when made and when asked.
    """

    def __init__(
        self,
        conversation: Conversation,
        source: str,
        hooks: Sequence[Hook],
        manners: Sequence[Manner] = (),
    ) -> None:
        assert len(hooks) <= frames.MAX_HOOKS, "more hooks than a frame's kind can say"
        start = {
            "source": source,
            "hooks": [_described(hook) for hook in hooks],
            "manners": manners,
        }
        answer = conversation.ask(
            "the policy", frames.START, json.dumps(start).encode()
        )
        has, manner = _start_reply(answer, hooks, manners)
        vars(self).update(manner)
        self._conversation = conversation
        self._teller = Teller()
        self._is_told = False
        self._room = MAX_ANSWERED_BYTES
        self.has = tuple(h.name for h, there in zip(hooks, has, strict=True) if there)
        self.manners = manner
        self.entries: list[Entry] = []
        self._bits = {hook.name: 1 << i for i, hook in enumerate(hooks)}
        self._hooks = {hook.name: hook for hook in hooks}
        self._questions: dict[tuple[str, ...], Question] = {}
        for hook, is_there in zip(hooks, has, strict=True):
            if is_there:
                setattr(self, hook.name, self._calling(hook))

    def ask_together(
        self, names: Sequence[str], views: Mapping[str, Any]
    ) -> list[object]:
        """Answers of several hooks in one message, in the problem's order of hooks.

        ``views`` holds what the hooks are given, by name.
        """
        question = self._question(tuple(names))
        views_given = [views[name] for name in question.arguments]
        parts = iter(self._ask(question, views_given))
        return [_taken(parts, size) for size in question.sizes]

    def finish(self) -> None:
        """Hear of what the policy was told last; raises what it raised over it."""
        if self._is_told:
            self._is_told = False
            self._conversation.ask("the policy", frames.SYNC, b"")

    def _question(self, names: tuple[str, ...]) -> "Question":
        found = self._questions.get(names)
        if found is None:
            hooks = [self._hooks[name] for name in names]
            sizes = [_ANSWER_PARTS.get(hook.returns, 1) for hook in hooks]
            found = self._questions[names] = Question(
                names,
                " and ".join(names),
                frames.FIRST_HOOK + sum(self._bits[name] for name in names),
                arguments(hooks),
                sizes,
                sum(sizes),
            )
        return found

    def _ask(self, question: "Question", views: Sequence[Any]) -> Parts:
        told = self._teller.told(question.arguments, views)
        answer = self._conversation.ask(question.subject, question.kind, told)
        self._is_told = False
        if len(answer) != question.n_arrays:
            raise PolicyError(
                "protocol",
                f"{question.subject}: {len(answer)} arrays came; "
                f"expected {question.n_arrays}",
            )
        self._keep(question, answer)
        return answer

    def _keep(self, question: "Question", answer: Parts) -> None:
        """Add to the log of answers, which has an end."""
        self.entries.append(Entry(question.hooks, answer))
        for part in answer:
            self._room -= part.nbytes
        if self._room < 0:
            raise PolicyError(
                "decision",
                f"{question.subject}: answers of more than {MAX_ANSWERED_BYTES} bytes "
                "on one scenario",
            )

    def _calling(self, hook: Hook) -> Callable[..., Any]:
        if hook.returns == "nothing":
            return self._telling(hook)
        question = self._question((hook.name,))

        def asked(*views: object) -> object:
            answer = self._ask(question, views)
            return answer[0] if len(answer) == 1 else answer

        asked.__name__ = hook.name
        return asked

    def _telling(self, hook: Hook) -> Callable[..., None]:
        kind = frames.FIRST_TOLD + self._bits[hook.name]

        def told(*views: object) -> None:
            payload = self._teller.told(hook.arguments, views)
            self._conversation.tell(hook.name, kind, payload)
            self._is_told = True

        told.__name__ = hook.name
        return told


class Question(NamedTuple):
    """What is the same each time that some hooks are asked together."""

    hooks: tuple[str, ...]
    subject: str
    kind: int
    arguments: tuple[str, ...]
    sizes: list[int]
    n_arrays: int


def over_cpu_limit(limits: Limits, subject: str = "the policy") -> str:
    """Message of a failure by CPU time; says the limit, as the use varies by run."""
    return f"{subject}: used more than {limits.cpu_s:g} s of CPU time on a scenario"


def _taken(parts: Iterator[Any], size: int) -> object:
    """The next array, or so many as a tuple, or None for no array."""
    if size == 1:
        return next(parts)
    return tuple([next(parts) for _ in range(size)]) or None


def _answer(frame: NDArray[Any] | frames.Frame, nonce: int) -> Parts:
    if not isinstance(frame, frames.Frame):
        return (frame,)
    if frame.nonce != nonce:
        raise frames.FrameError("an answer to a question that was not asked")
    if frame.kind == frames.ANSWER:
        return frames.unpack(frame.payload)
    if frame.kind != frames.ERROR:
        raise frames.FrameError(f"a frame of kind {frame.kind}")
    code = frame.payload[0] if frame.payload else len(FAILURES)
    if code >= len(FAILURES) or FAILURES[code] not in _OWN_FAULTS:
        raise frames.FrameError(f"an error of kind {code}")
    message = frame.payload[1:1000].decode(errors="replace")
    raise PolicyError(cast(FailureKind, FAILURES[code]), message)


def _start_reply(
    parts: Parts, hooks: Sequence[Hook], manners: Sequence[Manner]
) -> tuple[list[int], Mapping[str, str | float | bool]]:
    """Which hooks there are, 0 or 1 each, and the policy's manners by name."""
    try:
        has, rows = parts
        if has.shape != (len(hooks),):
            raise ValueError(f"{has.shape} hooks")
        return has.tolist(), heard(rows, manners)
    except ValueError as error:
        message = f"the policy: a malformed reply to its start: {error}"
        raise PolicyError("protocol", message) from None


def _described(hook: Hook) -> dict[str, object]:
    names = ("name", "arguments", "returns", "meaning", "asked")
    return {name: getattr(hook, name) for name in names}


def _nonces() -> Iterator[int]:
    batch = struct.Struct("<256Q")
    return itertools.chain.from_iterable(
        batch.unpack(os.urandom(batch.size)) for _ in itertools.repeat(None)
    )


def _cpu_s(process: int) -> float:
    """CPU seconds a process has used so far; 0 when it has ended."""
    # The kernel's id of a process's scheduler clock, see clock_getcpuclockid(3).
    clock = (~process << 3) | 2
    try:
        return time.clock_gettime(clock)
    except OSError:
        return 0.0
