"""The engine's end of the conversation with a policy in another process."""

import itertools
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from adrs.zygote import Process
from evaluators import frames
from evaluators.child import FAILURES
from evaluators.confine import Limits
from evaluators.evaluation import FailureKind, PolicyError
from evaluators.manners import Manner, heard
from evaluators.problem import Hook, arguments
from evaluators.view_kinds import KINDS
from evaluators.views import Engine, EngineFacts, Parts, Requests, Table, table_of

TICK_S = 0.05
"""How often the limits are checked while no answer comes."""

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
            frame = self._channel.receive()
            now_s = time.monotonic()
            self._waited_s += now_s - self._asked_at_s
            if self._waited_s > self._check_at_s:
                self._asked_at_s = now_s
                self._check_limits()
                self._check_at_s = self._waited_s + TICK_S
            return _answer(frame, nonce)
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
    not wait, and what it raises comes with the next question. Raises ``PolicyError``
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
        self._facts: EngineFacts | None = None
        self._is_told = False
        self._hooks = {hook.name: (1 << i, hook) for i, hook in enumerate(hooks)}
        for hook, is_there in zip(hooks, has, strict=True):
            if is_there:
                setattr(self, hook.name, self._calling(hook))

    def ask_together(
        self, names: Sequence[str], views: Mapping[str, Any]
    ) -> list[object]:
        """Answers of several hooks in one message, in the problem's order of hooks.

        ``views`` holds what the hooks are given, by name.
        """
        asked = [self._hooks[name] for name in names]
        hooks = [hook for _, hook in asked]
        subject = " and ".join(names)
        payload = self._payload(hooks, views)
        kind = frames.FIRST_HOOK + sum(bit for bit, _ in asked)
        answer = self._conversation.ask(subject, kind, payload)
        self._is_told = False
        sizes = [_ANSWER_PARTS.get(hook.returns, 1) for hook in hooks]
        if len(answer) != sum(sizes):
            raise PolicyError(
                "protocol",
                f"{subject}: {len(answer)} arrays came; expected {sum(sizes)}",
            )
        parts = iter(answer)
        return [_taken(parts, size) for size in sizes]

    def finish(self) -> None:
        """Hear of what the policy was told last; raises what it raised over it."""
        if self._is_told:
            self._is_told = False
            self._conversation.ask("the policy", frames.SYNC, b"")

    def _calling(self, hook: Hook) -> Callable[..., Any]:
        def called(*views: object) -> object:
            given = dict(zip(hook.arguments, views, strict=True))
            if hook.returns != "nothing":
                return self.ask_together((hook.name,), given)[0]
            self._tell(hook, given)
            return None

        called.__name__ = hook.name
        return called

    def _tell(self, hook: Hook, views: Mapping[str, Any]) -> None:
        payload = self._payload([hook], views)
        kind = frames.FIRST_TOLD + self._hooks[hook.name][0]
        self._conversation.tell(hook.name, kind, payload)
        self._is_told = True

    def _payload(self, hooks: Sequence[Hook], views: Mapping[str, Any]) -> bytes:
        self._send_facts(views)
        return frames.pack(_parts({name: views[name] for name in arguments(hooks)}))

    def _send_facts(self, views: Mapping[str, Any]) -> None:
        engine = views.get("engine")
        if isinstance(engine, Engine) and engine.facts is not self._facts:
            self._facts = engine.facts
            payload = frames.pack(engine.facts)
            self._conversation.tell("the policy", frames.FACTS, payload)


def over_cpu_limit(limits: Limits, subject: str = "the policy") -> str:
    """Message of a failure by CPU time; says the limit, as the use varies by run."""
    return f"{subject}: used more than {limits.cpu_s:g} s of CPU time on a scenario"


def _parts(views: Mapping[str, Any]) -> Parts:
    tables: list[Table] = []
    parts: list[Any] = []
    for name, view in views.items():
        if name not in KINDS:
            # Anything but a plain float would be another thing in the two processes.
            assert type(view) is float, f"{name} is {view!r}; expected a float"
            parts.append(np.array(view))
            continue
        if isinstance(view, Requests):
            tables.append(table_of(view))
        parts += view.parts()
    if tables:
        assert all(table is tables[0] for table in tables), "views of several tables"
        parts[:0] = tables[0].drain()
    return tuple(parts)


def _taken(parts: Iterator[Any], size: int) -> object:
    """The next array, or so many as a tuple, or None for no array."""
    if size == 1:
        return next(parts)
    return tuple([next(parts) for _ in range(size)]) or None


def _answer(frame: frames.Frame, nonce: int) -> Parts:
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
