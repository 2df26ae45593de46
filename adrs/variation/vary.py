"""One new policy out of a parent and a few others, by an operator drawn at random."""

import ast
import copy
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from adrs.candidate import candidate
from adrs.variation import change, cross, grow, tune
from adrs.variation.draft import (
    Draft,
    bound_name,
    free_names,
    makers,
    self_names,
    take_apart,
)
from adrs.variation.vocabulary import Vocabulary
from evaluators.evaluation import PolicyError

MAX_LINES = 60
MAX_DRAWS = 40

Change = Callable[[Draft, Sequence[Draft], np.random.Generator, Vocabulary], str | None]


class Operator(NamedTuple):
    """A way to vary a draft in place; gives what it did, or None if it cannot."""

    name: str
    odds: float
    change: Change


def _tune(
    draft: Draft,
    others: Sequence[Draft],
    rng: np.random.Generator,
    vocabulary: Vocabulary,
) -> str | None:
    del vocabulary
    return tune.tune(draft, others, rng)


def _promote(
    draft: Draft,
    others: Sequence[Draft],
    rng: np.random.Generator,
    vocabulary: Vocabulary,
) -> str | None:
    del others, vocabulary
    return tune.promote(draft, rng)


TUNE = (Operator("tune", 1.0, _tune), Operator("promote", 0.05, _promote))
OPERATORS = (
    Operator("tune", 0.26, _tune),
    Operator("promote", 0.02, _promote),
    Operator("take", 0.16, cross.take),
    Operator("blend", 0.05, cross.blend),
    Operator("add_term", 0.10, grow.add_term),
    Operator("add_condition", 0.11, grow.add_condition),
    Operator("invent_key", 0.05, grow.invent_key),
    Operator("invent_count", 0.16, grow.invent_count),
    Operator("add_rule", 0.06, grow.add_rule),
    Operator("swap_column", 0.02, change.swap_column),
    Operator("bend", 0.02, change.bend),
    Operator("simplify", 0.04, change.simplify),
)
MORE = {"blend": 0.10, "add_term": 0.18, "invent_key": 0.14}
"""Odds where no hook returns a count, so that some operators have nothing to do."""
SWITCH = Operator("switch", 0.05, change.switch)
"""Only where a problem knows several ways to ask."""


class Variation(NamedTuple):
    """A new policy and how it came about."""

    operator: str
    note: str
    source: str


def vary(
    sources: Sequence[str],
    operators: Sequence[Operator],
    vocabulary: Vocabulary,
    rng: np.random.Generator,
) -> Variation:
    """Vary the first of ``sources`` with the help of the others.

    The result parses, is no longer than ``MAX_LINES`` and means something else than any
    of ``sources``. A parent that plans whole steps (``schedule``) is only tuned. Raises
    ``ValueError`` when the parent cannot be read or nothing was found to change.
    """
    known = {_identity(source) for source in sources}
    parent = take_apart(sources[0], vocabulary.hooks)
    others = [draft for text in sources[1:] if (draft := _readable(text, vocabulary))]
    if cross.PLAN in parent.methods:
        operators = TUNE
    elif operators is OPERATORS:
        operators = _fitting(vocabulary)
    odds = np.array([operator.odds for operator in operators])
    for _ in range(MAX_DRAWS):
        operator = operators[rng.choice(len(operators), p=odds / odds.sum())]
        draft = copy.deepcopy(parent)
        note = operator.change(draft, others, rng, vocabulary)
        if note is None:
            continue
        draft.note(note)
        _prune(draft, parent, vocabulary)
        source = draft.render()
        is_new = _identity(source) not in {*known, ""}
        if is_new and _is_sound(draft, source, vocabulary):
            return Variation(operator.name, note, source)
    raise ValueError(f"found nothing to change in {parent.name}")


def _fitting(vocabulary: Vocabulary) -> Sequence[Operator]:
    """All operators, with odds that suit the problem."""
    fitting: tuple[Operator, ...] = OPERATORS
    if all(hook.returns != "count" for hook in vocabulary.hooks.values()):
        fitting = tuple(o._replace(odds=MORE.get(o.name, o.odds)) for o in fitting)
    return (*fitting, SWITCH) if vocabulary.ways else fitting


def _readable(source: str, vocabulary: Vocabulary) -> Draft | None:
    try:
        return take_apart(source, vocabulary.hooks)
    except ValueError:
        return None


def _identity(source: str) -> str:
    """The id of a source, whatever its layout; "" for what is no policy."""
    try:
        return candidate(source, origin="").id
    except PolicyError:
        return ""


def _prune(draft: Draft, parent: Draft, vocabulary: Vocabulary) -> None:
    """Drop what the parent used and the draft no longer does; import numpy if used."""
    for hook in vocabulary.hooks:
        if hook in draft.methods:
            _drop_dead_steps(draft.methods[hook])
    declared = {manner.name for manner in vocabulary.manners}
    heard = vocabulary.listeners
    decides = [n for n in draft.methods if n in vocabulary.hooks and n not in heard]
    used = _reached(draft, decides, heard)
    given = vocabulary.hooks.keys() - heard
    for name in (self_names(parent.methods.values()) | {"__init__", *heard}) - used:
        if name not in given:
            draft.methods.pop(name, None)
        if name not in declared:
            draft.attributes.pop(name, None)
    _prune_module(draft)
    _free_numbered_names(draft)


def _free_numbered_names(draft: Draft) -> None:
    """Call an attribute ``name_2`` plain ``name`` again once that is free."""
    for name in list(draft.attributes):
        plain = re.sub(r"_\d+$", "", name)
        if name not in self_names(draft.methods.values()) or plain == name:
            continue
        if draft.free_name(plain) == plain:
            draft.rename_attribute(name, plain)


def _drop_dead_steps(method: ast.FunctionDef) -> None:
    """Remove plain assignments whose value nobody reads."""
    live: set[str] = set()
    for step in reversed(list(method.body)):
        target = bound_name(step) if isinstance(step, ast.Assign) else ""
        if target and target not in live:
            method.body.remove(step)
            continue
        live.discard(target)
        live |= free_names([step.value if isinstance(step, ast.Assign) else step])


def _reached(draft: Draft, hooks: Sequence[str], listeners: Sequence[str]) -> set[str]:
    """Attributes, helpers and, for the state that is read, who makes and keeps it."""
    reached, waiting = set(hooks), list(hooks)
    while waiting:
        for name in self_names([draft.methods[waiting.pop()]]) - reached:
            is_state = name not in draft.attributes and name not in draft.methods
            news = {name}
            if is_state:
                news |= {*makers(draft.methods, name, listeners)}
            waiting += sorted((news - reached) & set(draft.methods))
            reached |= news
    return reached


def _prune_module(draft: Draft) -> None:
    """Keep the imports and helpers that are used; import numpy where it is."""
    names = free_names([*draft.methods.values(), *draft.attributes.values()])
    for node in list(reversed(draft.helpers)):
        if not bound_name(node) or bound_name(node) in names:
            names |= free_names([node])
        else:
            draft.helpers.remove(node)
    draft.imports = [node for node in draft.imports if _imported(node) & names]
    if "np" in names and not any("np" in _imported(node) for node in draft.imports):
        draft.imports.insert(0, ast.Import([ast.alias("numpy", "np")]))


def _imported(node: ast.stmt) -> set[str]:
    assert isinstance(node, ast.Import | ast.ImportFrom)
    return {(alias.asname or alias.name).split(".")[0] for alias in node.names}


def _is_sound(draft: Draft, source: str, vocabulary: Vocabulary) -> bool:
    """Whether it is short, has a hook, and reads no attribute that is not there."""
    if len(source.splitlines()) > MAX_LINES:
        return False
    state = self_names([m for n, m in draft.methods.items() if n == "__init__"])
    known = {*draft.attributes, *draft.methods, *state}
    has_hook = any(name in vocabulary.hooks for name in draft.methods)
    return has_hook and self_names(draft.methods.values()) <= known
