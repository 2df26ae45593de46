"""A ranking hook laid out as steps that build one key, so that steps can be added."""

import ast
from typing import NamedTuple

import numpy as np

from adrs.variation.draft import Draft, free_names, statements
from adrs.variation.vocabulary import Vocabulary, unit_of

KEY = "key"
MAX_LETTERS = 76


class Number(NamedTuple):
    """A tunable of a template: drawn between the bounds, evenly in its logarithm."""

    name: str
    low: float
    high: float
    comment: str = ""
    is_whole: bool = False

    def draw(self, rng: np.random.Generator) -> float:
        """A readable value."""
        value = float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return round(value) if self.is_whole else float(f"{value:.2g}")


class Ranking(NamedTuple):
    """A hook whose body ends in ``return <key>``, and its arguments' names."""

    method: ast.FunctionDef
    key: str
    view: str
    engine: str

    def append(self, text: str) -> None:
        """Add statements, over ``key``, ``view`` and ``engine``, before the return."""
        names = {KEY: self.key, "view": self.view, "engine": self.engine}
        for node in statements(text):
            self.method.body[-1:-1] = _short(renamed(node, names))

    def tidy(self) -> None:
        """Write a single short step as one return."""
        steps = [node for node in self.method.body if not _is_docstring(node)]
        if len(steps) != 2 or not isinstance(steps[0], ast.Assign):
            return
        value = steps[0].value
        if len(ast.unparse(value)) <= MAX_LETTERS:
            self.method.body[-2:] = [ast.Return(value)]


def ranking(draft: Draft, hook: str, vocabulary: Vocabulary) -> Ranking | None:
    """The hook laid out in steps, made of order of arrival where it is absent.

    None for a hook whose body does not end in a return of a value.
    """
    arguments = vocabulary.hooks[hook].arguments
    if hook not in draft.methods:
        view = arguments[0]
        text = f"def {hook}(self, {', '.join(arguments)}):\n    return {view}.arrived_s"
        draft.methods[hook] = statements(text)[0]  # type: ignore[assignment]
    method = draft.methods[hook]
    names = [argument.arg for argument in method.args.args[1:]]
    last = method.body[-1]
    if not isinstance(last, ast.Return) or last.value is None or len(names) < 2:
        return None
    key = _key_of(method, last.value)
    if key is None:
        key = fresh(KEY, method)
        assign = ast.Assign([ast.Name(key)], last.value, lineno=0)
        method.body[-1:] = [assign, ast.Return(ast.Name(key))]
    return Ranking(method, key, names[0], names[1])


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


def scale_of(method: ast.FunctionDef) -> float:
    """Rough magnitude of a hook's key, by the units of the columns it is made of."""
    text = ast.unparse(method)
    if "argsort" in text:
        return 20.0
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
        case ast.Attribute(ast.Name("self"), name):
            sides = [draft.attributes.get(name, ast.Constant(None))]
        case ast.Attribute(_, name):
            return name == "arrived_s" or unit_of(name) in ("tokens", "blocks")
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


def _key_of(method: ast.FunctionDef, value: ast.expr) -> str | None:
    """Name that is returned, if the body assigns it at its top level."""
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
