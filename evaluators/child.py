"""What runs inside a policy's process: load the policy, then answer questions.

The engine's process sends the policy's text and its hooks once, the facts of an engine
when they change, and a question whenever the policy is to decide. Each question brings
the rows of the table that changed since the last one and the parts of each view; each
answer leaves as plain numbers, made here out of whatever the policy returned, so that
no object of the policy's is ever touched on the other side.
"""

import io
import json
import re
import socket
import sys
from typing import Any, NoReturn, get_args

import numpy as np
from numpy.typing import NDArray

from evaluators import frames
from evaluators.confine import POLICY_DESCRIPTOR
from evaluators.evaluation import FailureKind, PolicyError
from evaluators.load import described, hooks_of, load_policy
from evaluators.problem import Hook, arguments, numbers
from evaluators.views import (
    Engine,
    EngineFacts,
    Parts,
    Requests,
    Running,
    Table,
    Waiting,
)

__all__ = ["FAILURES", "Child", "load_policy", "serve"]

MAX_OUTPUT_CHARS = 1 << 20
VIEWS: dict[str, type[Requests]] = {"waiting": Waiting, "running": Running}
FAILURES = get_args(FailureKind)
ASK_WORDS = ("event", "iteration")
"""An ``ask`` travels as an index into these, or as this many and the seconds."""

_ENGINE_PARTS = 2
_TABLE_PARTS = 3
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")


def serve() -> None:
    """Answer on ``POLICY_DESCRIPTOR`` until the engine's side closes it."""
    output = Output()
    sys.stdout = sys.stderr = output
    connected = socket.socket(fileno=POLICY_DESCRIPTOR)
    channel = frames.Channel(connected, frames.MAX_QUESTION_BYTES)
    # Built while there is memory, for when there is none.
    starved = _failure("memory_limit", "asked for more memory than its limit")
    child = Child()
    try:
        while True:
            frame = channel.receive()
            kind, payload = _reply(child, frame, starved)
            if kind is not None:
                channel.send(frame.nonce, kind, payload)
    except frames.ClosedError:
        return


def _reply(
    child: "Child", frame: frames.Frame, starved: bytes
) -> tuple[int | None, bytes]:
    """Kind and payload of what to send back for a frame, no kind for nothing."""
    try:
        return child.reply(frame)
    except PolicyError as error:
        failure = error.failure
        return frames.ERROR, _failure(failure.kind, failure.message)
    except MemoryError:
        return frames.ERROR, starved
    except Exception as error:  # noqa: BLE001 - the boundary: a policy may raise anything
        where = child.asked + ": " if child.asked else ""
        return frames.ERROR, _failure("exception", where + described(error))


def _failure(kind: FailureKind, message: str) -> bytes:
    # Addresses differ from run to run, and failures are journaled byte for byte.
    plain = _ADDRESS.sub("0x", message)[:400]
    return bytes([FAILURES.index(kind)]) + plain.encode(errors="replace")


class Child:
    """The policy with its mirror of the engine's table, between two questions."""

    def __init__(self) -> None:
        self.asked = ""
        self._hooks: list[Hook] = []
        self._calls: dict[str, Any] = {}
        self._table = Table(64)
        self._facts: EngineFacts | None = None

    def reply(self, frame: frames.Frame) -> tuple[int | None, bytes]:
        """Kind and payload of the reply to a frame; raises what the policy raises."""
        if frame.kind >= frames.FIRST_HOOK:
            bits = frame.kind - frames.FIRST_HOOK
            asked = [hook for i, hook in enumerate(self._hooks) if bits >> i & 1]
            return frames.ANSWER, self._answer(asked, frames.unpack(frame.payload))
        if frame.kind == frames.FACTS:
            self._facts = EngineFacts(*frames.unpack(frame.payload))
            return None, b""
        return frames.ANSWER, self._start(frame.payload)

    def _start(self, payload: bytes) -> bytes:
        """Load the policy; say which hooks it has and when to ask it."""
        start = json.loads(payload)
        self._hooks = [
            Hook(**{**hook, "arguments": tuple(hook["arguments"])})
            for hook in start["hooks"]
        ]
        policy = load_policy(start["source"], self._hooks)
        found = hooks_of(policy, self._hooks)
        self._calls = {name: getattr(policy, name) for name in found}
        has = np.array([hook.name in found for hook in self._hooks], dtype=np.int64)
        return frames.pack((has, _manner(policy)))

    def _answer(self, asked: list[Hook], parts: Parts) -> bytes:
        self.asked = ""
        views = self._views(arguments(asked), parts)
        answers: list[NDArray[Any]] = []
        for hook in asked:
            self.asked = hook.name
            given = [views[name] for name in hook.arguments]
            answers += _plain(hook, self._calls[hook.name](*given))
        return frames.pack(answers)

    def _views(self, names: tuple[str, ...], parts: Parts) -> dict[str, Any]:
        at = 0
        if names and names[0] in VIEWS:
            at = _TABLE_PARTS
            self._table.apply(parts[:at])
        views: dict[str, Any] = {}
        for name in names:
            if name == "engine":
                assert self._facts is not None, "a question came before the facts"
                views[name] = Engine(self._facts, *parts[at : at + _ENGINE_PARTS])
                at += _ENGINE_PARTS
            else:
                kind = VIEWS[name]
                size = 1 + len(kind.own_columns)
                views[name] = kind.from_parts(self._table, parts[at : at + size])
                at += size
        return views


def _manner(policy: object) -> NDArray[np.float64]:
    """How the policy wants to be asked.

    (index into ``ASK_WORDS`` or past it, seconds, 1 if it holds requests back)
    """
    ask = getattr(policy, "ask", ASK_WORDS[0])
    holds = float(bool(getattr(policy, "holds_back", False)))
    if isinstance(ask, str) and ask in ASK_WORDS:
        return np.array([ASK_WORDS.index(ask), 0.0, holds])
    if isinstance(ask, int | float):
        return np.array([len(ASK_WORDS), float(ask), holds])
    raise PolicyError(
        "interface", f"ask is {ask!r}; expected event, iteration or seconds"
    )


def _plain(hook: Hook, answer: object) -> Parts:
    """What a hook returned as one array, or as two of a plan.

    Raises ``PolicyError`` of kind "decision" for what is no numbers; whether they are
    the right ones is the engine's to check.
    """
    if hook.returns != "grants":
        return (_numbers(hook.name, answer),)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise PolicyError(
            "decision", f"{hook.name} must return (waiting grants, running grants)"
        )
    return tuple(_numbers(hook.name, part) for part in answer)


def _numbers(name: str, value: object) -> NDArray[Any]:
    array = numbers(value, name)
    if array.ndim > 2 or array.size * 16 > frames.MAX_ANSWER_BYTES:
        raise PolicyError("decision", f"{name} returned shape {array.shape}")
    exact = array.dtype.kind in "bi" or array.dtype.itemsize < 8
    whole = exact and array.dtype.kind != "f"
    return array.astype(np.int64 if whole else np.float64, copy=False)


class Output(io.TextIOBase):
    """Standard output of a policy: nobody reads it, and there is an end to it."""

    def __init__(self) -> None:
        super().__init__()
        self._left = MAX_OUTPUT_CHARS

    def write(self, text: str) -> int:
        """Forget ``text``; raises ``PolicyError`` when it was too much in all."""
        self._left -= len(text)
        if self._left < 0:
            self._overflow()
        return len(text)

    def _overflow(self) -> NoReturn:
        raise PolicyError(
            "exception",
            f"printed more than {MAX_OUTPUT_CHARS} characters; nobody reads them",
        )
