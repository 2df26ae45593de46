"""What runs inside a policy's process: load the policy, then answer questions.

The engine's process sends the policy's text and its hooks once, the facts of an engine
when they change, and a question whenever the policy is to decide. Each question brings
the rows of the table that changed since the last one and the parts of each view; each
answer leaves as plain numbers, made here out of whatever the policy returned, so that
no object of the policy's is ever touched on the other side.
"""

import io
import itertools
import marshal
import re
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn, get_args

import numpy as np
from numpy.typing import NDArray

from evaluators import frames
from evaluators.evaluation import FailureKind, PolicyError
from evaluators.load import described, hooks_of, load_policy, offered
from evaluators.manners import Manner, told
from evaluators.mirror import Mirror
from evaluators.problem import Hook, arguments, numbers
from evaluators.views import Parts

__all__ = ["FAILURES", "Child", "load_policy", "serve"]

MAX_OUTPUT_CHARS = 1 << 20
FAILURES = get_args(FailureKind)

BUILTINS = offered()
"""Made once, in the zygote: to copy them is to touch each, on sixty pages."""

_NOTHING = frames.pack(())
_FAMILY, _TYPE = int(socket.AF_UNIX), int(socket.SOCK_SEQPACKET)
_FLAT = "keys", "count", "index", "modes"
"""What hooks return that is one array."""
_FLOATS, _INTS = np.dtype(np.float64), np.dtype(np.int64)
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")


def channel_on(descriptor: int) -> frames.Channel:
    """What a policy's process answers on; the socket there may be another by then.

    To close the descriptor is to be killed, so it had better be kept.
    """
    connected = socket.SocketType(_FAMILY, _TYPE, 0, descriptor)
    return frames.Channel(connected, frames.MAX_QUESTION_BYTES)


def serve(child: "Child", channel: frames.Channel) -> None:
    """Answer until the engine's side closes the channel."""
    sys.stdout = sys.stderr = child.output
    try:
        answer_all(child, channel)
    except frames.ClosedError:
        return


def answer_all(
    child: "Child", channel: frames.Channel, times: int | None = None
) -> None:
    """Answer what comes, so many ``times`` if given; else until it is closed."""
    unsaid: tuple[int, bytes] | None = None
    for _ in itertools.repeat(None) if times is None else range(times):
        frame = channel.receive()
        kind, payload = unsaid or _reply(child, frame)
        if frames.FIRST_TOLD <= frame.kind < frames.FIRST_HOOK:
            # What went wrong over it is the answer to the next question.
            unsaid = (kind, payload) if kind == frames.ERROR else None
        else:
            channel.send(frame.nonce, kind, payload)


def _reply(child: "Child", frame: frames.Frame) -> tuple[int, bytes]:
    """Kind and payload of what to send back for a frame."""
    try:
        return frames.ANSWER, child.reply(frame)
    except PolicyError as error:
        failure = error.failure
        return frames.ERROR, _failure(failure.kind, failure.message)
    except MemoryError:
        return frames.ERROR, child.starved
    except Exception as error:  # noqa: BLE001 - the boundary: a policy may raise anything
        where = child.asked + ": " if child.asked else ""
        return frames.ERROR, _failure("exception", where + described(error))


def _failure(kind: FailureKind, message: str) -> bytes:
    # Addresses differ from run to run, and failures are journaled byte for byte.
    plain = _ADDRESS.sub("0x", message)[:400]
    return bytes([FAILURES.index(kind)]) + plain.encode(errors="replace")


def start_of(source: str, hooks: Sequence[Hook], manners: Sequence[Manner]) -> bytes:
    """Payload of the frame that a conversation starts with."""
    plain = [(h.name, h.arguments, h.returns, "", "") for h in hooks]
    return marshal.dumps((source, plain, [tuple(manner) for manner in manners]))


class Call(NamedTuple):
    """One hook to be called in answer to a question, with which of its arguments."""

    hook: Hook
    call: Callable[..., Any]
    arguments: tuple[int, ...]


class Child:
    """The policy with its mirror of what the engine has told, between two questions.

    Made before there is a policy, in the zygote, where it costs nobody anything.
    """

    def __init__(self) -> None:
        self.asked = ""
        self.output = Output()
        # Made while there is memory, for when there is none.
        self.starved = _failure("memory_limit", "asked for more memory than its limit")
        self._hooks: list[Hook] = []
        self._calls: dict[str, Callable[..., Any]] = {}
        self._mirror = Mirror()
        self._plans: dict[int, tuple[tuple[str, ...], list[Call]]] = {}

    def reply(self, frame: frames.Frame) -> bytes:
        """Payload of the answer to a frame; raises what the policy raises."""
        if frame.kind >= frames.FIRST_TOLD:
            return self._answer(frame)
        return self._start(frame.payload) if frame.kind == frames.START else _NOTHING

    def _start(self, payload: bytes) -> bytes:
        """Load the policy; say which hooks it has and how to ask it."""
        source, hooks, wanted = marshal.loads(payload)
        self._hooks = [Hook(*hook) for hook in hooks]
        policy = load_policy(source, self._hooks, BUILTINS)
        found = hooks_of(policy, self._hooks)
        self._calls = {name: getattr(policy, name) for name in found}
        has = np.array([hook.name in found for hook in self._hooks], dtype=np.int64)
        manners = [Manner(*manner) for manner in wanted]
        return frames.pack((has, told(policy, manners)))

    def _answer(self, frame: frames.Frame) -> bytes:
        self.asked = ""
        _, kind, payload = frame
        names, calls = self._plans.get(kind) or self._planned(kind)
        views = self._mirror.views(names, payload)
        if len(calls) == 1:
            ((hook, call, _),) = calls
            self.asked = hook.name
            answer = call(*views)
            if _is_flat(answer) and hook.returns in _FLAT:
                return frames.pack((answer,))
            return frames.pack(_plain(hook, answer))
        answers: list[NDArray[Any]] = []
        for hook, call, given in calls:
            self.asked = hook.name
            answers += _plain(hook, call(*[views[i] for i in given]))
        return frames.pack(answers)

    def _planned(self, kind: int) -> tuple[tuple[str, ...], list[Call]]:
        is_told = kind < frames.FIRST_HOOK
        bits = kind - (frames.FIRST_TOLD if is_told else frames.FIRST_HOOK)
        asked = [hook for i, hook in enumerate(self._hooks) if bits >> i & 1]
        names = arguments(asked)
        calls = [
            Call(
                hook,
                self._calls[hook.name],
                tuple(names.index(name) for name in hook.arguments),
            )
            for hook in asked
        ]
        self._plans[kind] = names, calls
        return names, calls


def _is_flat(answer: Any) -> bool:  # noqa: ANN401 - whatever a policy returns
    """Whether it is what most answers are: an array that leaves as it is."""
    return (
        type(answer) is np.ndarray
        and answer.ndim == 1
        and (answer.dtype is _FLOATS or answer.dtype is _INTS)
        and answer.size * 16 <= frames.MAX_ANSWER_BYTES
    )


def _plain(hook: Hook, answer: object) -> Parts:
    """What a hook returned as one array, two of a plan, or none if it only listens.

    Raises ``PolicyError`` of kind "decision" for what is no numbers; whether they are
    the right ones is the engine's to check.
    """
    if hook.returns == "nothing":
        return ()
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
    if array.dtype in (_FLOATS, _INTS):
        return array
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
