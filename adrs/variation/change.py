"""Change one place of an expression: another column, a bend, a term fewer."""

import ast
import functools
from collections.abc import Callable, Sequence

import numpy as np

from adrs import syntax
from adrs.variation.draft import Draft, number
from adrs.variation.ranking import fill
from adrs.variation.readings import Number
from adrs.variation.tune import FAR
from adrs.variation.vocabulary import Vocabulary, unit_of

Place = tuple[str, ast.Attribute]
"""A hook's name and a column that it reads."""
TYPICAL = {"tokens": 1000.0, "blocks": 60.0}


def swap_column(
    draft: Draft,
    others: Sequence[Draft],
    rng: np.random.Generator,
    vocabulary: Vocabulary,
) -> str | None:
    """Read another column of the same unit in one place."""
    del others
    places = [
        (hook, node)
        for hook, node in _columns(draft, vocabulary)
        if vocabulary.like(hook, node.attr)
    ]
    if not places:
        return None
    hook, node = places[rng.integers(len(places))]
    choices = vocabulary.like(hook, node.attr)
    old, node.attr = node.attr, choices[rng.integers(len(choices))]
    return f"{hook} reads {node.attr} for {old}"


def bend(
    draft: Draft,
    others: Sequence[Draft],
    rng: np.random.Generator,
    vocabulary: Vocabulary,
) -> str | None:
    """Make a count that a key reads flatten out: logarithm, root or cap."""
    del others
    places = [
        (hook, node)
        for hook, node in _columns(draft, vocabulary)
        if unit_of(node.attr) in TYPICAL
    ]
    if not places:
        return None
    hook, node = places[rng.integers(len(places))]
    form = ("np.log1p({})", "np.sqrt({})", "np.minimum({}, $cap)")[rng.integers(3)]
    usual = TYPICAL[unit_of(node.attr)]
    cap = Number(f"{node.attr}_cap", usual * 0.2, usual * 5, is_whole=True)
    text = form.format(ast.unparse(node)).replace("$cap", f"${cap.name}")
    if "$" in text:
        text = fill(draft, text, (cap,), rng)
    _replace(draft.methods[hook], node, syntax.tree(text, "eval").body)
    return f"{hook} bends {node.attr}"


def simplify(
    draft: Draft,
    others: Sequence[Draft],
    rng: np.random.Generator,
    vocabulary: Vocabulary,
) -> str | None:
    """Remove a step of a key, a term of a sum, or a whole hook."""
    del others
    cuts: list[tuple[str, Callable[[], object]]] = []
    hooks = [name for name in draft.methods if name in vocabulary.hooks]
    for hook in hooks:
        method = draft.methods[hook]
        cuts += [(f"{hook} without a step", cut) for cut in _steps(method)]
        cuts += [(f"{hook} without a term", cut) for cut in _terms(method)]
        if len(hooks) > 1:
            cuts.append((f"no {hook}", functools.partial(draft.methods.pop, hook)))
    if not cuts:
        return None
    note, cut = cuts[rng.integers(len(cuts))]
    cut()
    return note


def switch(
    draft: Draft,
    others: Sequence[Draft],
    rng: np.random.Generator,
    vocabulary: Vocabulary,
) -> str | None:
    """Let the policy be asked in another way, where there are ways by name."""
    del others
    manners = vocabulary.ways
    if not manners:
        return None
    manner = manners[rng.integers(len(manners))]
    value = draft.attributes.get(manner.name, ast.Constant(manner.default))
    words = [word for word in manner.words if ast.unparse(value) != repr(word)]
    word = words[rng.integers(len(words))]
    draft.attributes[manner.name] = ast.Constant(word)
    draft.comments.pop(manner.name, None)
    return f"{manner.name} is {word}"


def _columns(draft: Draft, vocabulary: Vocabulary) -> list[Place]:
    """Columns of the ranked view that the ranking hooks read, in order."""
    found = []
    for hook in vocabulary.rankable():
        if hook not in draft.methods:
            continue
        method = draft.methods[hook]
        asked = vocabulary.hooks[hook].arguments
        at = 1 + asked.index(vocabulary.rows(hook))
        view = method.args.args[at].arg if len(method.args.args) > at else ""
        found += [
            (hook, node)
            for node in ast.walk(method)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == view
        ]
    return found


def _steps(method: ast.FunctionDef) -> list[Callable[[], object]]:
    """Ways to take out a step ``key = ... key ...``."""
    cuts: list[Callable[[], object]] = []
    for step in method.body:
        if isinstance(step, ast.Assign) and isinstance(step.targets[0], ast.Name):
            target = step.targets[0].id
            reads = {n.id for n in ast.walk(step.value) if isinstance(n, ast.Name)}
            if target in reads:
                cuts.append(functools.partial(method.body.remove, step))
    return cuts


def _terms(method: ast.FunctionDef) -> list[Callable[[], object]]:
    """Ways to take one side out of a sum or a difference."""
    cuts: list[Callable[[], object]] = []
    for node in ast.walk(method):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            if _is_far(node.right):
                continue  # the step that this shift is all of can go as a whole
            cuts.append(functools.partial(_replace, method, node, node.left))
            if isinstance(node.op, ast.Add):
                cuts.append(functools.partial(_replace, method, node, node.right))
    return cuts


def _is_far(value: ast.expr) -> bool:
    return (number(value) or 0) >= FAR or ast.unparse(value).startswith("self.shift")


def _replace(tree: ast.AST, old: ast.expr, new: ast.expr) -> None:
    """Put ``new`` where ``old`` stands."""
    for node in ast.walk(tree):
        for field, value in ast.iter_fields(node):
            if value is old:
                setattr(node, field, new)
            elif isinstance(value, list) and any(item is old for item in value):
                value[:] = [new if item is old else item for item in value]
