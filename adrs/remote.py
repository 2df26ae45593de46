"""The engine's end of the conversation with a policy in another process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from adrs.conversation import Conversation
from adrs.decisions import Entry
from evaluators import frames
from evaluators.child import start_of
from evaluators.evaluation import PolicyError
from evaluators.manners import Manner, heard
from evaluators.mirror import Teller
from evaluators.problem import Hook, arguments
from evaluators.views import Parts

MAX_ANSWERED_BYTES = 1 << 28
"""Most that a policy may answer on one scenario; the log of it is kept."""

_ANSWER_PARTS = {"grants": 2, "nothing": 0}
"""Arrays that an answer has, by what the hook returns, where it is not one."""


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
        told = start_of(source, hooks, manners)
        answer = conversation.ask("the policy", frames.START, told)
        has, manner = _start_reply(answer, hooks, manners)
        vars(self).update(manner)
        self._conversation = conversation
        self._teller = Teller()
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
        """Ask for nothing, once all is told; raises what it did since the last answer.

        What it raised over what it was told last comes as the answer, and so does what
        it sent without being asked, whichever of the two processes was the faster.
        """
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

        return _named(asked, hook.name)

    def _telling(self, hook: Hook) -> Callable[..., None]:
        kind = frames.FIRST_TOLD + self._bits[hook.name]

        def told(*views: object) -> None:
            payload = self._teller.told(hook.arguments, views)
            self._conversation.tell(hook.name, kind, payload)

        return _named(told, hook.name)


class Question(NamedTuple):
    """What is the same each time that some hooks are asked together."""

    hooks: tuple[str, ...]
    subject: str
    kind: int
    arguments: tuple[str, ...]
    sizes: list[int]
    n_arrays: int


def _named(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The hook under its name, and as one that asks another process."""
    call.__name__ = name
    vars(call)["asks_another"] = True
    return call


def _taken(parts: Iterator[Any], size: int) -> object:
    """The next array, or so many as a tuple, or None for no array."""
    if size == 1:
        return next(parts)
    return tuple([next(parts) for _ in range(size)]) or None


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
