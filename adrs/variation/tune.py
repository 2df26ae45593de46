"""Move the numbers of a policy: its class attributes, and literals made into such."""

import ast
import math
from collections.abc import Iterator, Sequence

import numpy as np

from adrs.variation.draft import TUNED, Draft, constant, number

STEPS = (0.08, 0.25, 0.7)
"""Standard deviations of the log of a factor: polish, adjust, explore."""
STEP_ODDS = (0.3, 0.45, 0.25)
JUMP_ODDS = 0.1
JUMP_DECADES = 1.5
DIRECTION_ODDS = 0.25
"""How often all attributes move at once, along a random direction."""
FLIGHT_ODDS = 0.3
"""How often a step is measured by the distance to a relative's value."""
FAR = 1e8
"""Numbers from here on stand for "before or after everything else"."""


def tune(draft: Draft, others: Sequence[Draft], rng: np.random.Generator) -> str | None:
    """Move one to three attributes, or all at once; None when there is no number."""
    names = [name for name, value in draft.attributes.items() if _is_tunable(value)]
    if not names:
        return None
    step = float(rng.choice(STEPS, p=STEP_ODDS))
    if len(names) > 1 and rng.random() < DIRECTION_ODDS:
        chosen, step = names, step / math.sqrt(len(names))
    else:
        count = min(len(names), int(rng.choice((1, 2, 3), p=(0.6, 0.25, 0.15))))
        chosen = [names[i] for i in sorted(rng.permutation(len(names))[:count])]
    changes = [_move(draft, name, others, step, rng) for name in chosen]
    return TUNED + ", ".join(changes[:2]) + (" and more" if len(changes) > 2 else "")


def promote(draft: Draft, rng: np.random.Generator) -> str | None:
    """Make a literal of a hook a class attribute and move it; None without literals."""
    literals = [
        (method, parent, field, index)
        for method in draft.methods.values()
        for parent, field, index in _literals(method)
    ]
    if not literals:
        return None
    method, parent, field, index = literals[rng.integers(len(literals))]
    place = getattr(parent, field)
    value = number(place if index is None else place[index])
    assert value is not None
    name = draft.add_attribute(_literal_name(method, parent), value)
    attribute = ast.Attribute(ast.Name("self"), name)
    if index is None:
        setattr(parent, field, attribute)
    else:
        place[index] = attribute
    return _move(draft, name, (), float(rng.choice(STEPS, p=STEP_ODDS)), rng)


def moved(value: float, step: float, rng: np.random.Generator) -> float:
    """A number near ``value``: same sign, same type, never equal."""
    if value == 0:
        sign = 1 if rng.random() < 0.5 else -1
        far = 10 ** float(rng.uniform(-2, 2))
        return 1 if isinstance(value, int) else sign * significant(far)
    decades = float(rng.normal(0, step)) / math.log(10)
    if rng.random() < JUMP_ODDS:
        decades = float(rng.uniform(-JUMP_DECADES, JUMP_DECADES))
    result = value * 10**decades
    if isinstance(value, int):
        whole = round(result) or int(math.copysign(1, value))
        return whole if whole != value else value + (1 if decades > 0 else -1)
    result = significant(result)
    return result if result != value else significant(value * 1.05, 5)


def significant(value: float, digits: int = 3) -> float:
    """``value`` with that many digits, so that policies stay readable."""
    return float(f"{value:.{digits}g}")


def _move(
    draft: Draft,
    name: str,
    others: Sequence[Draft],
    step: float,
    rng: np.random.Generator,
) -> str:
    value = number(draft.attributes[name])
    assert value is not None
    distances = [
        distance for other in others if (distance := _distance(value, other, name))
    ]
    if distances and rng.random() < FLIGHT_ODDS:
        step = distances[int(rng.integers(len(distances)))]
    result = moved(value, step, rng)
    draft.attributes[name] = constant(result)
    return f"{name} {value:g} -> {result:g}"


def _distance(value: float, other: Draft, name: str) -> float:
    """How far a relative's attribute lies, as the log of the ratio, at most 2."""
    theirs = number(other.attributes[name]) if name in other.attributes else None
    if theirs is None or theirs * value <= 0:
        return 0.0
    return min(abs(math.log(theirs / value)), 2.0)


def _is_tunable(value: ast.expr) -> bool:
    found = number(value)
    return found is not None and math.isfinite(found)


def _literals(method: ast.FunctionDef) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Places of numbers in arithmetic, comparisons and calls, -1, 0 and 1 aside."""
    for node in ast.walk(method):
        if isinstance(node, ast.Compare) and isinstance(
            node.ops[0], ast.Eq | ast.NotEq
        ):
            continue  # it stands for something
        if isinstance(node, ast.BinOp | ast.Compare | ast.Call | ast.Return):
            yield from (place for place in _places(node) if _is_worth_moving(*place))


def _places(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    for field, value in ast.iter_fields(node):
        if isinstance(value, list):
            yield from ((node, field, index) for index in range(len(value)))
        else:
            yield node, field, None


def _is_worth_moving(node: ast.AST, field: str, index: int | None) -> bool:
    value = getattr(node, field)
    item = value if index is None else value[index]
    found = number(item) if isinstance(item, ast.expr) else None
    return found is not None and abs(found) not in (0, 1) and abs(found) < FAR


def _literal_name(method: ast.FunctionDef, parent: ast.AST) -> str:
    """A name after the columns that the literal stands beside."""
    columns = [
        node.attr for node in ast.walk(parent) if isinstance(node, ast.Attribute)
    ]
    plain = [name for name in columns if name.isidentifier() and len(name) > 3]
    return f"{plain[0]}_factor" if plain else f"{method.name}_constant"
