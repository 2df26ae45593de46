"""Bring a hook of another policy into this one, whole or as part of a sum."""

import ast
import copy
from collections.abc import Sequence

import numpy as np

from adrs.variation.draft import (
    Draft,
    bound_name,
    free_names,
    makers,
    rename_self,
    self_names,
)
from adrs.variation.ranking import choice, fill, fresh, ranking, renamed
from adrs.variation.readings import Number
from adrs.variation.vocabulary import Vocabulary

LACKING_ODDS = 4.0
"""How much likelier a hook is taken that this policy lacks than one it has."""
PLAN = "schedule"
RANK = "np.argsort(np.argsort({}, kind='stable'), kind='stable')"


def take(
    draft: Draft,
    others: Sequence[Draft],
    rng: np.random.Generator,
    vocabulary: Vocabulary,
) -> str | None:
    """Take a hook of another policy with all that it uses; None if there is none."""
    offers = [
        (other, hook)
        for other in others
        for hook in vocabulary.hooks
        if hook in other.methods and hook != PLAN and _differs(draft, other, hook)
        if hook not in vocabulary.listeners
        and _keeps_any(draft, other, hook, vocabulary)
    ]
    if not offers:
        return None
    odds = np.array([
        1 if hook in draft.methods else LACKING_ODDS for _, hook in offers
    ])
    other, hook = offers[rng.choice(len(offers), p=odds / odds.sum())]
    if not transplant(draft, other, (hook, hook), vocabulary.listeners):
        return None
    _behave(draft, other, hook, vocabulary)
    return f"{hook} of '{_brief(other.root)}'"


def blend(
    draft: Draft,
    others: Sequence[Draft],
    rng: np.random.Generator,
    vocabulary: Vocabulary,
) -> str | None:
    """Add another policy's key to ours, as it is or by rank; None if there is none."""
    offers = [
        (other, hook)
        for other in others
        for hook in vocabulary.rankable()
        if hook in other.methods and hook in draft.methods
        if other.root != draft.root and _is_straight(other.methods[hook])
    ]
    if not offers:
        return None
    other, hook = offers[rng.integers(len(offers))]
    ours = ranking(draft, hook, vocabulary)
    names, heard = (hook, "_theirs"), vocabulary.listeners
    if ours is None or not transplant(draft, other, names, heard):
        return None
    theirs = draft.methods.pop("_theirs")
    if not _gives_key(theirs, vocabulary.hooks[hook].returns, rises=ours.rises):
        return None
    local = fresh("other", ours.method)
    _inline(ours.method, theirs, local)
    by_rank = rng.random() < 0.6
    low, high = (0.1, 3.0) if by_rank else (0.01, 100.0)
    form = RANK if by_rank else "{}"
    text = f"key = {form.format('key')}\n" * by_rank
    text += f"key = key + $blend * {form.format(local)}"
    ours.append(fill(draft, text, (Number("blend", low, high),), rng))
    return f"{hook} blended with '{_brief(other.root)}'"


def _behave(draft: Draft, other: Draft, hook: str, vocabulary: Vocabulary) -> None:
    """Have the hook asked as where it came from, by the attributes that it names."""
    asked = vocabulary.hooks[hook]
    for name in (manner.name for manner in vocabulary.manners):
        if name not in f"{asked.meaning} {asked.asked}":
            continue
        draft.attributes.pop(name, None)
        if name in other.attributes:
            draft.attributes[name] = other.attributes[name]
            draft.comments[name] = other.comments.get(name, "")


def _gives_key(method: ast.FunctionDef, returns: str, *, rises: bool) -> bool:
    """Have a method that chooses a row give the key it chooses by; False if none."""
    if returns != "index":
        return True
    found = choice(method)
    if found is None:
        return False
    key: ast.expr = ast.Name(found.key, ast.Load())
    if found.rises != rises:
        key = ast.UnaryOp(ast.USub(), key)
    method.body[-1] = ast.Return(key)
    return True


def transplant(
    draft: Draft, other: Draft, names: tuple[str, str], listeners: Sequence[str]
) -> bool:
    """Copy a hook into the draft under a name; False if what it needs would clash.

    ``names`` are its own and the one it gets. With the state that it reads come the
    constructor and those of ``listeners`` that keep the state up to date.
    """
    hook, name = names
    methods = _methods_needed(other, hook, listeners)
    copies = {key: copy.deepcopy(other.methods[key]) for key in methods}
    shared = [key for key in methods if key in ("__init__", *listeners)]
    if not all(_can_join(draft, copies[key], key, hook) for key in shared):
        return False
    helpers = _helpers_needed(other, list(copies.values()))
    bound = {bound_name(node): ast.unparse(node) for node in draft.helpers}
    wanted = {bound_name(node): ast.unparse(node) for node in helpers}
    if any(bound.get(key, text) != text for key, text in wanted.items()):
        return False
    draft.methods.pop(name, None)
    own = {hook: name} | _names_for(draft, other, copies, (hook, *shared))
    for key, method in copies.items():
        rename_self(method, own)
        method.name = own.get(key, key)
        _join(draft, method)
    draft.helpers += [node for node in helpers if bound_name(node) not in bound]
    draft.imports += copy.deepcopy(other.imports)
    return True


def _can_join(draft: Draft, theirs: ast.FunctionDef, key: str, hook: str) -> bool:
    """Whether a constructor or listener can go on after the one that is there."""
    ours = draft.methods.get(key)
    if ours is None:
        return True
    mine = [method for name, method in draft.methods.items() if name != hook]
    clashes = self_names(mine) & self_names([theirs])
    ends = any(isinstance(node, ast.Return) for node in ast.walk(ours))
    return (
        not clashes and not ends and ast.unparse(ours.args) == ast.unparse(theirs.args)
    )


def _join(draft: Draft, method: ast.FunctionDef) -> None:
    """Put a method into the draft, after the steps of one of its name."""
    ours = draft.methods.setdefault(method.name, method)
    if ours is not method:
        ours.body += [step for step in method.body if not _is_docstring(step)]


def _methods_needed(other: Draft, hook: str, listeners: Sequence[str]) -> list[str]:
    """The hook, helpers it calls, and what makes and keeps the state that it reads."""
    needed, waiting = [hook], [hook]
    while waiting:
        for name in sorted(self_names([other.methods[waiting.pop()]])):
            news = [name]
            if name not in other.attributes and name not in other.methods:
                news = makers(other.methods, name, listeners)
            new = [n for n in news if n in other.methods and n not in needed]
            needed += new
            waiting += new
    return needed


def _helpers_needed(other: Draft, methods: list[ast.FunctionDef]) -> list[ast.stmt]:
    wanted = free_names(methods)
    needed: list[ast.stmt] = []
    for node in reversed(other.helpers):
        if bound_name(node) in wanted:
            needed.insert(0, copy.deepcopy(node))
            wanted |= free_names([node])
    return needed


def _names_for(
    draft: Draft,
    other: Draft,
    copies: dict[str, ast.FunctionDef],
    kept: Sequence[str],
) -> dict[str, str]:
    """Names here of the attributes and helpers brought along; adds the attributes.

    ``kept`` are the methods that keep their names, the hook first.
    """
    names = {}
    for name in sorted(self_names(copies.values())):
        if name in other.attributes:
            names[name] = _place(draft, other, name, kept[0])
    for name in copies:
        if name not in kept:
            names[name] = draft.free_name(name)
    return names


def _place(draft: Draft, other: Draft, name: str, hook: str) -> str:
    value = other.attributes[name]
    mine = draft.attributes.get(name)
    if mine is not None and ast.unparse(mine) == ast.unparse(value):
        return name
    taken = mine is not None or name in draft.methods
    place = draft.free_name(f"{hook.split('_')[0]}_{name}") if taken else name
    draft.attributes[place] = copy.deepcopy(value)
    if name in other.comments:
        draft.comments[place] = other.comments[name]
    return place


def _inline(ours: ast.FunctionDef, theirs: ast.FunctionDef, local: str) -> None:
    """Put their steps before our return, their result under the name ``local``."""
    pairs = zip(theirs.args.args, ours.args.args, strict=False)
    names = {theirs_.arg: ours_.arg for theirs_, ours_ in pairs}
    used = free_names([ours]) | set(names.values())
    for node in ast.walk(theirs):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            clashes = node.id in used and node.id not in names
            names.setdefault(node.id, f"{local}_{node.id}" if clashes else node.id)
    *steps, last = [step for step in theirs.body if not _is_docstring(step)]
    assert isinstance(last, ast.Return) and last.value is not None
    result = ast.Assign([ast.Name(local)], last.value, lineno=0)
    ours.body[-1:-1] = [renamed(step, names) for step in steps]
    renamed(ast.Expr(last.value), names)
    ours.body[-1:-1] = [result]


def _is_straight(method: ast.FunctionDef) -> bool:
    """Whether the only return is the last step and gives a value."""
    returns = [node for node in ast.walk(method) if isinstance(node, ast.Return)]
    return returns == [method.body[-1]] and returns[0].value is not None


def _keeps_any(draft: Draft, other: Draft, hook: str, vocabulary: Vocabulary) -> bool:
    """Whether more than the other policy itself would come of taking a hook."""
    decides = vocabulary.hooks.keys() - {hook, *vocabulary.listeners}
    return any(name in draft.methods or name in other.methods for name in decides)


def _differs(draft: Draft, other: Draft, hook: str) -> bool:
    mine = draft.methods.get(hook)
    return mine is None or ast.unparse(mine) != ast.unparse(other.methods[hook])


def _brief(root: str) -> str:
    words = root.removesuffix(" ...").split()
    return " ".join(words[:4]).rstrip(",:;.")


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
