"""What expressions may be built of: the columns and scalars of a problem's views."""

from collections.abc import Mapping
from typing import NamedTuple

from evaluators.problem import Hook, Problem
from evaluators.views import (
    CLASS_COLUMNS,
    ENGINE_CONSTANTS,
    ENGINE_SCALARS,
    TENANT_COLUMNS,
    Column,
)


class Feature(NamedTuple):
    """A quantity per row that a key can be built of.

    ``text`` is its expression over ``view`` and ``engine``; ``scale`` its usual
    magnitude; ``sign`` +1 where a larger value usually means a later turn. One that is
    ``signed`` may be negative.
    """

    name: str
    text: str
    scale: float
    sign: int
    signed: bool = False


FEATURES = (
    Feature("prompt", "view.prompt_tokens", 1000.0, 1),
    Feature("output", "view.predicted_tokens", 300.0, 1),
    Feature("size", "(view.prompt_tokens + view.predicted_tokens)", 1300.0, 1),
    Feature(
        "remaining",
        "np.maximum(view.predicted_tokens - view.generated_tokens, 0)",
        200.0,
        1,
    ),
    Feature("blocks", "view.blocks_needed", 60.0, 1),
    Feature("held", "view.blocks_held", 60.0, -1),
    Feature("generated", "view.generated_tokens", 100.0, -1),
    Feature("age", "(engine.now_s - view.arrived_s)", 3.0, -1),
    Feature("slack", "(view.first_token_due_s - engine.now_s)", 2.0, 1, True),
    Feature("lateness", "np.maximum(engine.now_s - view.first_token_due_s, 0)", 2.0, 1),
    Feature("leeway", "np.maximum(view.first_token_due_s - engine.now_s, 0)", 1.0, 1),
    Feature("patience", "engine.classes.ttft_s[view.slo_class]", 2.0, 1),
    Feature("share", "engine.tenants.output_tokens_served[view.tenant]", 20000.0, 1),
    Feature("prompt_share", "engine.tenants.prompt_tokens_served[view.tenant]", 1e5, 1),
    Feature("tenant_running", "engine.tenants.running[view.tenant]", 10.0, 1),
    Feature("tenant_waiting", "engine.tenants.waiting[view.tenant]", 10.0, 1),
)
"""Readings of the columns of ``evaluators.views``; a problem offers those whose columns
its views have."""


class Vocabulary:
    """The hooks of a problem and the expressions that their arguments allow."""

    def __init__(self, problem: Problem) -> None:
        self.hooks: dict[str, Hook] = {hook.name: hook for hook in problem.hooks}
        self._views: Mapping[str, tuple[Column, ...]] = problem.views
        engine = problem.views.get("engine", (*ENGINE_SCALARS, *ENGINE_CONSTANTS))
        self._engine = {column.name for column in engine}

    def rankable(self) -> list[str]:
        """Names of the hooks that return a key per row."""
        return [name for name, hook in self.hooks.items() if hook.returns == "keys"]

    def columns(self, hook: str) -> list[str]:
        """Columns of the view that a ranking hook ranks."""
        return [column.name for column in self._views[self.hooks[hook].arguments[0]]]

    def features(self, hook: str) -> list[Feature]:
        """Features that a ranking hook can be built of."""
        return [feature for feature in FEATURES if self.allows(hook, feature.text)]

    def allows(self, hook: str, text: str) -> bool:
        """Whether every column and scalar that ``text`` reads is there."""
        asked = self.hooks[hook]
        columns = {*self.columns(hook)} if asked.returns == "keys" else set()
        scalars = self._engine if "engine" in asked.arguments else set()
        return all(_is_known(word, columns, scalars) for word in _readings(text))

    def like(self, hook: str, column: str) -> list[str]:
        """Other columns of the same kind, by their unit."""
        unit = unit_of(column)
        return [
            name
            for name in self.columns(hook)
            if name != column and unit and unit_of(name) == unit
        ]


def unit_of(column: str) -> str:
    """What a column counts; "" for identities and indices."""
    if column in ("arrived_s", "first_token_due_s"):
        return "time"
    for unit in ("tokens", "blocks"):
        if unit in column.split("_"):
            return unit
    return "requests" if column.startswith("n_") else ""


def _readings(text: str) -> list[str]:
    """Every ``view.X``, ``engine.X`` and ``engine.table.X`` in a text."""
    for sign in "()[]+-*/,<>&":
        text = text.replace(sign, " ")
    return [word for word in text.split() if word.startswith(("view.", "engine."))]


def _is_known(word: str, columns: set[str], scalars: set[str]) -> bool:
    root, name, *rest = word.split(".")
    if root == "view":
        return name in columns
    tables = {"tenants": TENANT_COLUMNS, "classes": CLASS_COLUMNS}
    if scalars and name in tables:
        return bool(rest) and rest[0] in {column.name for column in tables[name]}
    return name in scalars
