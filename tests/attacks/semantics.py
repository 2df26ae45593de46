"""Class S: to be scored for what no user wants, or to keep the judge busy.

Whoever knows the exams by heart, or tells by the first requests which one it is, is in
`tests/test_gap.py`.
"""

from dataclasses import replace

from tests.attacks.exams import CROWDED, WIRED
from tests.attacks.table import LIMITS, Attack, hook

PATIENT = replace(LIMITS, cpu_s=3, wall_s=60)
STUCK = ("no_progress", "", ("progress",), "fell", PATIENT)


def _holding(*lines: str) -> str:
    """A policy that may hold requests back, also a single one."""
    source = hook(*lines)
    return source.replace("class Attack:\n", "class Attack:\n    holds_back = True\n\n")


def _gaining(source: str, on: str) -> Attack:
    return Attack(source, "", "", ("gate",), "gained", on=on)


def _planning(plan: str) -> str:
    return (
        "import numpy as np\n\nclass Attack:\n"
        f"    def schedule(self, waiting, running, engine):\n        return {plan}\n"
    )


def _routing(target: str, moves: str = "", every_s: float = 0.1) -> str:
    source = (
        "import numpy as np\n\nclass Attack:\n"
        f"    migrate_every_s = {every_s}\n\n"
        f"    def route(self, request, replicas):\n        return {target}\n"
    )
    if not moves:
        return source
    return source + (
        f"\n    def migrate(self, requests, replicas):\n        return {moves}\n"
    )


def _keeping(value: str) -> str:
    return (
        "import numpy as np\n\nclass Attack:\n"
        f"    def keep_value(self, blocks, now_s):\n        return {value}\n"
    )


ABUSES = {
    "starves whoever came first": _gaining(
        hook("return -waiting.arrived_s"), "overload"
    ),
    "buys its mean with the slowest": _gaining(
        hook("return -np.floor(waiting.arrived_s)"), CROWDED
    ),
    "gives up whoever is late": _gaining(
        hook(
            "is_late = engine.now_s - waiting.arrived_s > 0.5",
            "return np.where(is_late, 1e9, 0) + waiting.arrived_s",
        ),
        CROWDED,
    ),
    "defers long prompts past the horizon": _gaining(
        _holding(
            "return np.where(waiting.prompt_tokens > 1024, np.inf, waiting.arrived_s)"
        ),
        "overload",
    ),
    "preempts and admits again for ever": Attack(
        _planning("np.ones(len(waiting)), -np.ones(len(running))"),
        *STUCK,
        on="a handful",
    ),
    "never computes anything": Attack(
        _planning("np.zeros(len(waiting)), np.zeros(len(running))"),
        "no_progress",
        on="a handful",
    ),
    "has a timer ring for nobody": Attack(
        _routing("0", "np.zeros((0, 2))", 1e-12),
        "no_progress",
        "make it longer",
        ("idle timer",),
        "fell",
        PATIENT,
        on=WIRED,
    ),
    "routes to a replica counted from the end": Attack(
        _routing("-1"),
        "decision",
        "chose replica -1",
        ("routes",),
        "broke",
        on=WIRED,
    ),
    "probes more replicas than there may be": Attack(
        _routing("np.arange(999) % 2"),
        "decision",
        "shape",
        ("routes",),
        "fooled",
        on=WIRED,
    ),
    "moves a request to a replica counted from the end": Attack(
        _routing("0", "[(0, -1)] if len(requests.replica) else np.zeros((0, 2))"),
        "decision",
        "out of",
        ("pairs",),
        "broke",
        on=WIRED,
    ),
    "moves a request twice": Attack(
        _routing(
            "0", "[(0, 1), (0, 2)] if len(requests.replica) else np.zeros((0, 2))"
        ),
        "decision",
        "twice",
        ("pairs",),
        "broke",
        on=WIRED,
    ),
    "values blocks at no number": Attack(
        _keeping("blocks.id * np.nan"),
        "decision",
        "nan",
        ("keys",),
        "fooled",
        on="eviction",
    ),
    "values fewer blocks than it is shown": Attack(
        _keeping("[1.0]"), "decision", "shape", ("keys",), "fooled", on="eviction"
    ),
}
