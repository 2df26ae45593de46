"""A ranking hook laid out as steps that build one key, so that steps can be added."""

import ast
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from adrs.variation.draft import Draft, free_names, statements
from adrs.variation.magnitude import magnitude
from adrs.variation.readings import Number
from adrs.variation.vocabulary import ROWS, Vocabulary, unit_of

KEY = "key"
LOWEST_FIRST = frozenset({"admit_key"})
"""Hooks that return keys of which the lowest comes first, not the highest."""
START = {"keep_value": "last_used_s", "route": "outstanding"}
"""What a hook begins with where a policy lacks it; else the first time there is."""
USABLE = {"route": "(view.healthy == 1) & (view.role != 2)"}
"""Rows that may be chosen."""
NOT_NEGATIVE = frozenset((
    "arrived_s",
    "inserted_s",
    "last_used_s",
    "recompute_s",
    "tokens_per_s",
    "hits",
    "depth",
    "children",
    "outstanding",
    "sent",
    "running",
    "waiting",
    "decoding",
))
MAX_LETTERS = 76


class Ranking(NamedTuple):
    """A hook laid out in steps that build one key.

    Its body ends in a return of ``key``, or of the row whose key is the least or the
    greatest. ``names`` maps the names in texts to those of the method's arguments;
    ``rises`` tells that a larger key means a later turn, a worse choice, less worth.
    """

    method: ast.FunctionDef
    key: str
    names: Mapping[str, str]
    rises: bool

    def append(self, text: str) -> None:
        """Add statements, over ``key``, ``view`` and other arguments, at the end."""
        names = {**self.names, KEY: self.key}
        for node in statements(text):
            self.method.body[-1:-1] = _short(renamed(node, names))

    def tidy(self) -> None:
        """Write a single short step as one return."""
        steps = [node for node in self.method.body if not _is_docstring(node)]
        if len(steps) != 2 or not isinstance(steps[0], ast.Assign):
            return
        if not isinstance(steps[1], ast.Return) or isinstance(steps[1].value, ast.Call):
            return
        value = steps[0].value
        if len(ast.unparse(value)) <= MAX_LETTERS:
            self.method.body[-2:] = [ast.Return(value)]


def ranking(draft: Draft, hook: str, vocabulary: Vocabulary) -> Ranking | None:
    """The hook laid out in steps, made of a rule of thumb where it is absent.

    None for a hook whose body does not end in a return of a key, or of a choice by one.
    """
    asked = vocabulary.hooks[hook]
    if hook not in draft.methods:
        made = _begun(hook, vocabulary)
        if made is None:
            return None
        draft.methods[hook] = made
    method = draft.methods[hook]
    given = [argument.arg for argument in method.args.args[1:]]
    if len(given) != len(asked.arguments):
        return None
    names = dict(zip(asked.arguments, given, strict=True))
    names[ROWS] = names.pop(vocabulary.rows(hook))
    if asked.returns == "index":
        found = choice(method)
        return None if found is None else Ranking(method, found.key, names, found.rises)
    key = _named_key(method)
    return None if key is None else Ranking(method, key, names, hook in LOWEST_FIRST)


def _begun(hook: str, vocabulary: Vocabulary) -> ast.FunctionDef | None:
    """The hook by a time or a count of its rows; None if they show none."""
    columns = vocabulary.columns(hook)
    rows = vocabulary.rows(hook)
    wanted = START.get(hook)
    if wanted is None or wanted not in columns:
        wanted = next((c for c in columns if unit_of(c) == "time"), None)
    if wanted is None:
        return None
    text = f"return {rows}.{wanted}"
    if vocabulary.hooks[hook].returns == "index":
        text = f"return np.argmin({rows}.{wanted})"
        if hook in USABLE and vocabulary.allows(hook, USABLE[hook]):
            mask = USABLE[hook].replace(f"{ROWS}.", f"{rows}.")
            text = f"usable = {mask}\n"
            text += f"return np.argmin(np.where(usable, {rows}.{wanted}, np.inf))"
    arguments = ", ".join(vocabulary.hooks[hook].arguments)
    method = statements(f"def {hook}(self, {arguments}):\n    pass")[0]
    assert isinstance(method, ast.FunctionDef)
    method.body = statements(text)
    return method


class Choice(NamedTuple):
    """Name of the key that a method chooses a row by, and whether the least is best."""

    key: str
    rises: bool


def choice(method: ast.FunctionDef) -> Choice | None:
    """Lay out a method that ends in ``return np.argmin(...)`` and the like."""
    last = method.body[-1]
    if not isinstance(last, ast.Return) or last.value is None:
        return None
    match last.value:
        case ast.Call(ast.Attribute(_, "argmin" | "argmax" as name), [_]) as call:
            rises, place, at = name == "argmin", call.args, 0
        case ast.Subscript(
            ast.Call(ast.Attribute(_, "lexsort"), [ast.Tuple() as order]),
            ast.Constant(0),
        ):
            rises, place, at = True, order.elts, -1
        case _:
            return None
    match place[at]:
        case ast.Call(ast.Attribute(_, "where"), [_, _, _]) as masked:
            place, at = masked.args, 1
    key = _name_of(method, place[at])
    if key is None:
        key = fresh(KEY, method)
        method.body[-1:-1] = [assigned(key, place[at])]
        place[at] = ast.Name(key, ast.Load())
    return Choice(key, rises)


def assigned(name: str, value: ast.expr) -> ast.Assign:
    """The statement that gives a value a name."""
    return ast.Assign([ast.Name(name, ast.Store())], value, lineno=0)


def _named_key(method: ast.FunctionDef) -> str | None:
    """Name of the key that a method returns, which is given one if it has none."""
    last = method.body[-1]
    if not isinstance(last, ast.Return) or last.value is None:
        return None
    key = _name_of(method, last.value)
    if key is None:
        key = fresh(KEY, method)
        returned = ast.Return(ast.Name(key, ast.Load()))
        method.body[-1:] = [assigned(key, last.value), returned]
    return key


def fill(
    draft: Draft, text: str, numbers: tuple[Number, ...], rng: np.random.Generator
) -> str:
    """``text`` with each ``$number`` made an attribute of the draft."""
    for wanted in sorted(numbers, key=lambda number: -len(number.name)):
        name = draft.add_attribute(wanted.name, wanted.draw(rng), wanted.comment)
        text = text.replace(f"${wanted.name}", f"self.{name}")
    return text


def fresh(wanted: str, method: ast.FunctionDef) -> str:
    """``wanted``, or with the first number that no name of the method has."""
    taken, name, number = free_names([method]), wanted, 2
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name


def renamed(node: ast.stmt, names: dict[str, str]) -> ast.stmt:
    """The tree with plain names replaced, in place."""
    for item in ast.walk(node):
        if isinstance(item, ast.Name):
            item.id = names.get(item.id, item.id)
    return node


def scale_of(draft: Draft, laid_out: Ranking) -> float:
    """Rough magnitude of a key: requests by their units, others by usual values."""
    text = ast.unparse(laid_out.method)
    if "argsort" in text:
        return 20.0
    if "arrived_s" not in text and "engine" not in laid_out.names:
        return magnitude(draft, laid_out.method, laid_out.key)
    if "log1p" in text:
        return 2.0
    if "_tokens" in text:
        return 500.0
    return 30.0 if "blocks" in text else 2.0


def is_positive(draft: Draft, laid_out: Ranking) -> bool:
    """Whether the key can be shown to be 0 or more, so that factors keep its order."""
    assigned = [
        node.value
        for node in laid_out.method.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == laid_out.key
    ]
    return bool(assigned) and all(
        _at_least_zero(draft, value, laid_out.key) for value in assigned
    )


def _at_least_zero(draft: Draft, value: ast.expr, key: str) -> bool:
    """Whether an expression is 0 or more whatever the columns hold."""
    match value:
        case ast.BinOp(left, ast.Add() | ast.Mult() | ast.Div(), right):
            sides = [left, right]
        case ast.Call(ast.Attribute(_, "log1p" | "sqrt"), arguments):
            sides = arguments
        case ast.Call(ast.Attribute(_, "maximum"), arguments):
            return any(_at_least_zero(draft, item, key) for item in arguments)
        case ast.BinOp(left, ast.Sub(), ast.Attribute(_, "last_used_s" | "inserted_s")):
            return ast.unparse(left).endswith("now_s")
        case ast.Attribute(ast.Name("self"), name):
            sides = [draft.attributes.get(name, ast.Constant(None))]
        case ast.Attribute(_, name):
            return name in NOT_NEGATIVE or unit_of(name) in ("tokens", "blocks")
        case ast.Constant(int() | float() as number):
            return number >= 0
        case _:
            return isinstance(value, ast.Name) and value.id == key
    return all(_at_least_zero(draft, side, key) for side in sides)


def _short(node: ast.stmt) -> list[ast.stmt]:
    """A long sum as one step a term."""
    if len(ast.unparse(node)) <= MAX_LETTERS or not isinstance(node, ast.Assign):
        return [node]
    match node.value:
        case ast.BinOp(left, ast.Add() | ast.Sub() as sign, right):
            target = node.targets[0]
            assert isinstance(target, ast.Name)
            first = ast.Assign([ast.Name(target.id)], left, lineno=0)
            term = ast.BinOp(ast.Name(target.id), sign, right)
            if ast.unparse(left) == target.id:
                return [node]
            return [*_short(first), ast.Assign([target], term, lineno=0)]
    return [node]


def _name_of(method: ast.FunctionDef, value: ast.expr) -> str | None:
    """The plain name that a value is, if the body assigns it at its top level."""
    if not isinstance(value, ast.Name):
        return None
    assigned = {
        target.id
        for node in method.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return value.id if value.id in assigned else None


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
