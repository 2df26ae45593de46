"""What expressions may be built of: the columns and scalars of a problem's views."""

import ast
import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

from adrs import syntax
from adrs.variation.readings import FEATURES, KEYS, Feature
from evaluators.manners import Manner
from evaluators.problem import Hook, Problem
from evaluators.views import Column

ROWS = "view"
"""Name in every text of the argument whose rows a hook ranks."""
SCALES = {"tokens": 1000.0, "blocks": 60.0, "requests": 10.0, "seconds": 1.0}
"""Usual magnitude of a column by what it counts."""
RANKING = ("keys", "values", "index")
"""What hooks return that rank rows."""
PLAIN = frozenset(("np", "self", "key", "int", "max", "min"))
SIZES = frozenset(("block_tokens", "total_blocks", "max_running"))
"""Columns that never change, and are mostly alike in all rows."""
CODE = re.compile(r"(^|\W)[01] \w.*\W[01] \w")
"""The meaning of a column whose values stand for something: 0 this, 1 that."""


class Reading(NamedTuple):
    """A dotted name in a text: ``view.hits``, ``engine.tenants.running``, ``now_s``."""

    root: str
    path: tuple[str, ...]


class Vocabulary:
    """The hooks of a problem and the expressions that their arguments allow.

    A hook that returns keys or values ranks the rows of its first argument, one that
    returns an index chooses among the rows of its last.
    """

    def __init__(self, problem: Problem) -> None:
        self.hooks: dict[str, Hook] = {hook.name: hook for hook in problem.hooks}
        self.manners: tuple[Manner, ...] = problem.manners
        self._views: Mapping[str, tuple[Column, ...]] = problem.views

    def rankable(self) -> list[str]:
        """Names of the hooks that rank rows: by a key each, or by choosing one."""
        return [
            name
            for name, hook in self.hooks.items()
            if hook.returns in RANKING and self.rows(name) in self._views
        ]

    @property
    def listeners(self) -> list[str]:
        """Names of the hooks that decide nothing."""
        return [n for n, hook in self.hooks.items() if hook.returns == "nothing"]

    @property
    def ways(self) -> list[Manner]:
        """Manners that are one of several words, and no number."""
        return [m for m in self.manners if len(m.words) > 1 and not m.has_number]

    def rows(self, hook: str) -> str:
        """The argument whose rows a hook ranks."""
        asked = self.hooks[hook]
        return asked.arguments[-1 if asked.returns == "index" else 0]

    def columns(self, hook: str) -> list[str]:
        """Columns of the view that a ranking hook ranks."""
        return [column.name for column in self._views[self.rows(hook)]]

    def features(self, hook: str) -> list[Feature]:
        """Features that a ranking hook can be built of.

        First the readings that are known to make sense, then each quantity that is in
        none of them as it stands.
        """
        known = [feature for feature in FEATURES if self.allows(hook, feature.text)]
        texts = [feature.text for feature in known]
        texts += [template.text for template in KEYS.get(hook, ())]
        read = {part for text in texts for r in readings(text) for part in r.path}
        columns = [c for c in self._views[self.rows(hook)] if c.name not in read]
        return known + [f for c in columns if (f := self._plain(hook, c)) is not None]

    def codes(self, hook: str) -> list[str]:
        """Columns of a ranking hook whose values stand for something."""
        return [c.name for c in self._views[self.rows(hook)] if _is_code(c)]

    def allows(self, hook: str, text: str) -> bool:
        """Whether every column and scalar that ``text`` reads is there."""
        return all(self._is_known(hook, reading) for reading in readings(text))

    def like(self, hook: str, column: str) -> list[str]:
        """Other columns of the same kind, by their unit."""
        units = {c.name: _unit(c) for c in self._views[self.rows(hook)]}
        unit = units.get(column)
        return [n for n in units if n != column and unit and units[n] == unit]

    def _is_known(self, hook: str, reading: Reading) -> bool:
        asked = self.hooks[hook]
        root, path = reading
        if root == ROWS and asked.returns in RANKING:
            root = self.rows(hook)
        elif root not in asked.arguments:
            return False
        if not path:
            columns = self._views.get(root, ())
            return [column.name for column in columns] in ([], [root])
        view = ".".join((root, *path[:-1]))
        return path[-1] in {column.name for column in self._views.get(view, ())}

    def _plain(self, hook: str, column: Column) -> Feature | None:
        """A quantity as it stands; a point in time as how long ago it is."""
        unit, text = _unit(column), f"{ROWS}.{column.name}"
        if not unit or "nan" in column.meaning or column.name in SIZES:
            return None
        if unit == "time":
            clocks = ("engine.now_s", "request.now_s", "now_s")
            now = next((c for c in clocks if self.allows(hook, c)), None)
            ago = Feature(column.name[:-2], f"({now} - {text})", 10.0, 0, signed=True)
            return ago if now else None
        return Feature(column.name, text, SCALES[unit], 0)


@functools.cache
def readings(text: str) -> tuple[Reading, ...]:
    """What a text reads and does not make itself."""
    tree = syntax.tree(text.replace("$", "self."))
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    made = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    found, inner = list[Reading](), set[ast.AST]()
    for node in ast.walk(tree):
        path: list[str] = []
        base: ast.AST = node
        while isinstance(base, ast.Attribute):
            inner.add(base.value)
            path.insert(0, base.attr)
            base = base.value
        if isinstance(base, ast.Name) and node not in inner:
            found.append(Reading(base.id, tuple(path)))
    return tuple(r for r in found if r.root not in PLAIN | made)


def unit_of(column: str) -> str:
    """What a column counts by its name; "" for identities, indices and bare counts."""
    if column.endswith(("ed_s", "due_s")):
        return "time"
    for unit in ("tokens", "blocks"):
        if unit in column.split("_") and not column.endswith("_s"):
            return unit
    return "requests" if column.startswith("n_") else ""


def _unit(column: Column) -> str:
    """What a column counts, by its name or else by what it means."""
    if unit := unit_of(column.name):
        return unit
    if "opaque" in column.meaning or column.meaning.startswith("index of"):
        return ""
    if column.name.endswith("_per_s") or _is_code(column):
        return ""
    if column.name.endswith("_s"):
        return "seconds"
    words = re.findall(r"\w+", column.meaning)
    return next((word for word in words if word in SCALES), "")


def _is_code(column: Column) -> bool:
    return not unit_of(column.name) and bool(CODE.search(f" {column.meaning}"))
