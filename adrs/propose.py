"""One slot of a round: a question, at most two answers, a candidate or a rejection."""

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from adrs.candidate import Candidate, Trial, candidate, parse
from adrs.edit import EditError, apply
from adrs.llm.model import Key, Message, Model, ModelError, Reply
from adrs.prompt import repair
from adrs.records import Proposed, Reason, Rejected
from evaluators.evaluation import PolicyError
from evaluators.problem import Hook

ATTEMPTS = 2
"""The question, and once more with what was wrong with the answer."""

MESSAGE_CHARS = 200


@dataclass(frozen=True, slots=True)
class Slot:
    """A question to be asked; ``shown`` are ids of policies beside the parent.

    ``is_known`` says whether a candidate was proposed in an earlier round; it must not
    depend on the other slots of this one, which are asked at the same time.
    """

    round: int
    number: int
    parent: Trial
    shown: tuple[str, ...]
    messages: tuple[Message, ...]
    is_known: Callable[[str], bool]


class _Refusal(NamedTuple):
    reason: Reason
    message: str


def propose(model: Model, hooks: Sequence[Hook], slot: Slot) -> Proposed | Rejected:
    """Ask, and once more if the answer cannot be used.

    Raises ``ModelUnavailableError`` as the model does.
    """
    messages = slot.messages
    tokens, usd = 0, 0.0
    refusal = _Refusal("model", "not asked")
    for attempt in range(ATTEMPTS):
        try:
            reply = model.complete(messages, Key(slot.round, slot.number, attempt))
            made = _made(reply, model.name, hooks, slot)
        except ModelError as error:
            reply = error.spent
            made = _Refusal("model", str(error))
        tokens += reply.prompt_tokens + reply.completion_tokens
        usd += reply.usd
        if isinstance(made, Candidate):
            return Proposed(slot.round, slot.number, made, tokens, usd)
        refusal = made
        source = slot.parent.candidate.source
        messages = repair(slot.messages, source, reply.text, refusal.message)
    return Rejected(slot.round, slot.number, *_short(refusal), tokens, usd)


def _made(
    reply: Reply, origin: str, hooks: Sequence[Hook], slot: Slot
) -> Candidate | _Refusal:
    parent = slot.parent.candidate
    try:
        source = apply(reply.text, parent.source)
        made = candidate(source, parents=(parent.id, *slot.shown), origin=origin)
    except EditError as error:
        return _Refusal("edit", f"{error.kind}: {error}")
    except PolicyError as error:
        return _Refusal("source", error.failure.message)
    names = [hook.name for hook in hooks]
    if not has_hook(parse(source), names):
        return _Refusal("source", f"no class has a hook; they are {', '.join(names)}")
    if made.id == parent.id:
        return _Refusal("duplicate", "nothing changed but comments or layout")
    if slot.is_known(made.id):
        return _Refusal("duplicate", f"{made.id} was proposed before; try another")
    return made


def has_hook(tree: ast.Module, names: Sequence[str]) -> bool:
    """Whether a class at the top of the file defines one of the hooks."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    members = [member for made in classes for member in made.body]
    defined = {m.name for m in members if isinstance(m, ast.FunctionDef)}
    for member in members:
        if isinstance(member, ast.Assign):
            defined |= {t.id for t in member.targets if isinstance(t, ast.Name)}
    return not defined.isdisjoint(names)


def _short(refusal: _Refusal) -> _Refusal:
    """On one line, printable, cut to what a journal and a prompt can bear."""
    printable = "".join(c if c.isprintable() else " " for c in refusal.message)
    return refusal._replace(message=" ".join(printable.split())[:MESSAGE_CHARS])
