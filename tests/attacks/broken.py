"""Policies that are merely wrong, and are told what to change."""

from tests.attacks.table import ANSWER, Attack, constructor, hook

NONSENSE = {
    "nan": Attack(hook("return waiting.id * np.nan"), "decision", "nan"),
    "a wrong shape": Attack(hook("return [1.0]"), "decision", "shape"),
    "three dimensions": Attack(hook("return np.ones((1, 1, 1))"), "decision"),
    "a text": Attack(hook("return 'abc'"), "decision", "numbers"),
    "None": Attack(hook("return None"), "decision", "numbers"),
    "a huge integer": Attack(hook("return [10**30] * len(waiting)"), "decision"),
    "a ragged list": Attack(hook("return [[1], [1, 2]]"), "decision", "ragged"),
    "a generator": Attack(hook("return (x for x in waiting.id)"), "decision"),
    "complex numbers": Attack(hook("return waiting.id * 1j"), "decision"),
    "an object that lies about itself": Attack(
        hook(
            "return Lie()",
            head="class Lie:\n    def __array__(self, *a, **k):\n        return self",
        ),
        "decision",
    ),
    "an exception": Attack(hook("1 / 0"), "exception", "line 6: ZeroDivisionError"),
}

TEACHABLE = {
    "a barred import": Attack(
        hook(ANSWER, head="import os"), "source", "import os is not available"
    ),
    "a barred import in a hook": Attack(
        hook("from os import path", ANSWER), "source", "a policy may import numpy"
    ),
    "no Python": Attack("class Attack(:\n", "source", "line 1"),
    "an error at import": Attack("x = 1\ny = x / 0\n", "source", "line 2"),
    "no class": Attack("x = 1\n", "interface", "no class has one of the hooks"),
    "two classes": Attack(
        hook(ANSWER) + hook(ANSWER).replace("Attack", "Second"), "interface", "Second"
    ),
    "a constructor that wants something": Attack(
        constructor(ANSWER).replace("self):", "self, x):"), "interface", "failed"
    ),
    "a constructor that raises": Attack(constructor("1 / 0"), "interface", "line 5"),
    "an ask of nobody's": Attack(
        hook(ANSWER) + "    ask = 'never'\n", "interface", "ask is 'never'"
    ),
}
