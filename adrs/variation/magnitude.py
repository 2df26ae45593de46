"""How large an expression usually is, read off its syntax tree: nothing is run."""

import ast
import math

from adrs.variation.draft import Draft, number
from adrs.variation.readings import FEATURES
from adrs.variation.vocabulary import SCALES, unit_of

USUAL = {
    "tokens_per_s": 4e4,
    "free_blocks": 1e4,
    "total_blocks": 3e4,
    "block_tokens": 16.0,
    "now_s": 60.0,
    "last_used_s": 30.0,
    "inserted_s": 30.0,
} | {f.text.removeprefix("view."): f.scale for f in FEATURES}
"""Of columns whose unit does not tell."""
FLAT = {"log1p": math.log1p, "log": math.log1p, "sqrt": math.sqrt}
TINY, HUGE = 1e-9, 1e9


def magnitude(draft: Draft, method: ast.FunctionDef, key: str) -> float:
    """Usual magnitude of the name ``key`` at the end of a method; 1 where unknown."""
    known: dict[str, float] = {}
    for step in method.body:
        if isinstance(step, ast.Assign) and isinstance(step.targets[0], ast.Name):
            known[step.targets[0].id] = _usual(step.value, draft, known)
    return min(max(known.get(key, 1.0), TINY), HUGE)


def _usual(value: ast.expr, draft: Draft, known: dict[str, float]) -> float:
    """Usual magnitude of an expression, 1 where nothing tells."""
    plain = number(value)
    usual = 1.0 if plain is None else max(abs(plain), TINY)
    match value:
        case ast.BinOp(left, operator, right):
            pair = _usual(left, draft, known), _usual(right, draft, known)
            usual = _joined(operator, *pair)
        case ast.UnaryOp(_, operand):
            usual = _usual(operand, draft, known)
        case ast.Name(name):
            usual = known.get(name, USUAL.get(name, 1.0))
        case ast.Attribute(ast.Name("self"), name) if name in draft.attributes:
            usual = _usual(draft.attributes[name], draft, {})
        case ast.Attribute(_, name):
            usual = USUAL.get(name, SCALES.get(unit_of(name), 1.0))
        case ast.Call(ast.Attribute(_, name), arguments) if arguments:
            sizes = [_usual(argument, draft, known) for argument in arguments]
            usual = FLAT[name](sizes[0]) if name in FLAT else _of_call(name, sizes)
    return usual


def _joined(operator: ast.operator, left: float, right: float) -> float:
    if isinstance(operator, ast.Mult):
        return left * right
    if isinstance(operator, ast.Div):
        return left / max(right, TINY)
    if isinstance(operator, ast.Pow):
        return float(min(left, HUGE) ** min(right, 3.0))
    return max(left, right)


def _of_call(name: str, sizes: list[float]) -> float:
    if name == "minimum":
        return min(sizes)
    return max(sizes[1:]) if name == "where" and len(sizes) > 1 else max(sizes)
