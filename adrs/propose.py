"""One slot of a round: a question, at most two answers, a candidate or a rejection."""

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from adrs.candidate import Candidate, Trial, candidate, parse
from adrs.edit import EditError, apply
from adrs.llm.model import Key, Message, Model, ModelError, Reply
from adrs.prompt import repair
from adrs.records import Proposed, Reason, Rejected
from evaluators.evaluation import MESSAGE_CHARS, PolicyError, printable
from evaluators.problem import Hook

ATTEMPTS = 2
"""The question, and once more with what was wrong with the answer."""


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
    fault = hook_fault(parse(source), hooks)
    if fault:
        return _Refusal("source", fault)
    if made.id == parent.id:
        return _Refusal("duplicate", "nothing changed but comments or layout")
    if slot.is_known(made.id):
        return _Refusal("duplicate", f"{made.id} was proposed before; try another")
    return made


def hook_fault(tree: ast.Module, hooks: Sequence[Hook]) -> str | None:
    """Why no class at the top of a file answers ``hooks`` as they are asked."""
    by_name = {hook.name: hook for hook in hooks}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    defined = set[str]()
    for member in (member for made in classes for member in made.body):
        if isinstance(member, ast.FunctionDef) and member.name in by_name:
            fault = _signature_fault(member, by_name[member.name])
            if fault:
                return f"line {member.lineno}: {fault}"
            defined.add(member.name)
        elif isinstance(member, ast.Assign):
            defined |= {t.id for t in member.targets if isinstance(t, ast.Name)}
    if not defined.isdisjoint(by_name):
        return None
    return f"no class has a hook; they are {', '.join(by_name)}"


def _signature_fault(method: ast.FunctionDef, hook: Hook) -> str | None:
    """Why a method cannot be called as the hook is, or gives no answer at once."""
    args, n_given = method.args, len(hook.arguments) + 1
    most = len(args.posonlyargs) + len(args.args)
    fits = most - len(args.defaults) <= n_given
    fits = fits and (n_given <= most or args.vararg is not None)
    if not method.decorator_list and (not fits or None in args.kw_defaults):
        wanted = ", ".join(("self", *hook.arguments))
        return f"{hook.name} takes other arguments; write def {hook.name}({wanted})"
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in _own(method)):
        return f"{hook.name} yields; return the whole answer at once"
    return None


def _own(method: ast.FunctionDef) -> Iterator[ast.AST]:
    """Nodes of a function's body without those of functions inside it."""
    left: list[ast.AST] = list(method.body)
    while left:
        node = left.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            left += ast.iter_child_nodes(node)


def _short(refusal: _Refusal) -> _Refusal:
    """On one line, printable, cut to what a journal and a prompt can bear."""
    return refusal._replace(message=printable(refusal.message, MESSAGE_CHARS))
