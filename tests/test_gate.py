"""What no policy needs is told at once: which line, what, and the way out.

None of it holds a policy back (tests/attacks does without): a gate is advice.
"""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adrs.candidate import candidate
from evaluators.evaluation import PolicyError
from evaluators.load import PUBLISHED
from tests.contracts.test_policies import FILES

pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}")
    for kind in ("SyntaxWarning", "DeprecationWarning")
]
NUMPY = "import numpy as np\n"


def refused(source):
    with pytest.raises(PolicyError) as caught:
        candidate(source, origin="test")
    failure = caught.value.failure
    assert failure.kind == "source"
    assert len(failure.message) <= 200
    assert failure.message.isprintable()
    return failure.message


def is_taken(source):
    return candidate(source, origin="test").source == source


@pytest.mark.parametrize(
    ("source", "line", "what", "way_out"),
    [
        ("import os", 1, "import os", "sees its views"),
        ("x = 1\nimport os.path", 2, "import os.path", "sees its views"),
        ("from time import time", 1, "import time", "simulated seconds"),
        ("import random", 1, "import random", "np.random.default_rng(0)"),
        ("import threading", 1, "import threading", "one thread"),
        ("import torch.nn", 1, "import torch.nn", "write it with numpy"),
        ("import operator", 1, "import operator", ", ".join(PUBLISHED)),
        ("import unheard_of", 1, "import unheard_of", ", ".join(PUBLISHED)),
        ("from . import x", 1, "relative", "one file"),
        ("from math import *", 1, "from math import *", "import the names"),
        ("from statistics import sys", 1, "statistics.sys", "sees its views"),
        ("import statistics\nstatistics.sys", 2, "statistics.sys", "sees its views"),
        (NUMPY + "np.random.rand(3)", 2, "numpy.random.rand", "default_rng(0)"),
        ("from numpy import random\nrandom.seed(0)", 2, "random.seed", "default_rng"),
        ("from numpy.random import rand", 1, "numpy.random.rand", "default_rng(0)"),
        (NUMPY + "np.random.default_rng()", 2, "without a seed", "constant"),
        (NUMPY + "np.random.PCG64(seed=None)", 2, "without a seed", "constant"),
        (NUMPY + "np.load('x')", 2, "numpy.load", "no files"),
        ("open('x')", 1, "open", "keep what is to be remembered on self"),
        ("eval('1')", 1, "eval", "write the code"),
        ("__import__('os')", 1, "__import__", "write the code"),
        ("f = exec", 1, "exec", "write the code"),
        ("input()", 1, "input", "print is fine"),
        ("exit(0)", 1, "exit", "return an answer"),
        ("globals()['x'] = 1", 1, "globals", "self"),
        ("def f():\n    global x\n    x = 1", 2, "global x", "self"),
        ("id(1)", 1, "id()", "use the id column"),
        ("f.__globals__", 1, "__globals__", "columns of the views"),
        ("x.ｆ_back", 1, "f_back", "columns of the views"),
        ("getattr(x, '__dict__')", 1, "__dict__", "columns of the views"),
        ("'{0.__class__}'.format(x)", 1, "__class__", "columns of the views"),
        ("match x:\n    case K(__class__=c): pass", 2, "__class__", "columns"),
        ("async def f(): pass", 1, "async code", "one thread"),
        ("x = [" + "7, " * 201 + "]", 1, "a table of 201 values", "any other"),
        ("x = 1\ny = {" + "'a': (1, 2), " * 67 + "}", 2, "a table of 201", "compute"),
        ("x = '" + "a" * 201 + "'", 1, "201 letters", "compute"),
        ("x = " + hex(2**64), 1, "65 bits", "compute"),
    ],
)
def test_a_finding_names_its_line_and_the_way_out(source, line, what, way_out):
    message = refused(source)
    assert message.startswith(f"line {line}: ")
    assert what in message
    assert way_out in message


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("x = 1\n" * 20_000, "120000 bytes, at most 65536"),
        ("a;" * 7_000, "14000 words and signs, at most 12000"),
        ("x = " + "9" * 65, "a number of 65 digits, at most 64"),
        ("x = " + "(" * 101 + ")" * 101, "nested 101 deep, at most 100"),
        ("x = (" + '")",(' * 101, "nested 102 deep"),
        ("x = " + "-+" * 51 + "1", "nested 102 deep"),
        (" " * 101 + "x", "nested 101 deep"),
        ("x = " + "+".join("a" * 101), "levels in each other, at most 100"),
        ("x = f(3)\n" * 501, "501 constants in all, at most 500"),
        (f"x = '{'a' * 200}'\n" * 11, "strings of 2200 letters in all, at most 2000"),
        ("x = 10\ny = (", "line 2: '(' was never closed"),
    ],
)
def test_what_is_too_large_says_how_large_it_may_be(source, what):
    assert what in refused(source)


@pytest.mark.parametrize(
    "source",
    [
        "print('hello')",
        NUMPY + "rng = np.random.default_rng(0)\nnp.random.Generator(rng)",
        NUMPY + "np.random.RandomState(seed=3)",
        "from __future__ import annotations\nfrom collections.abc import Mapping",
        "import bisect\nbisect.bisect([1], 2)",
        "class K:\n    def __init__(self):\n        super().__init__()",
        "class K:\n    __slots__ = ()\n    def __call__(self): return self.id",
        "if __name__ == '__main__': pass",
        "def f(open, id): return open + id(3)",
        '"""See __class__ and ' + "a" * 3_000 + '"""',
        "x = [" + "7, " * 200 + "]",
        "x = 0xFFFFFFFFFFFFFFFF",
        "x = '" + "((((" * 49 + "'",
    ],
)
def test_what_honest_policies_write_is_let_through(source):
    assert is_taken(source)


def test_several_findings_are_told_in_one_message():
    message = refused("import random\nimport time\n\nopen('x')")
    assert "also line 2: import time" in message
    assert "also line 4: open" in message


def test_every_baseline_passes_and_none_is_near_a_cap():
    for path in FILES:
        assert is_taken(path.read_text())
    together = "\n".join(path.read_text() for path in FILES[:10])
    assert is_taken(together), "ten baselines in one file are no table yet"


HOSTILE = {
    "terms": "x = " + "+".join("a" * 32_000),
    "statements": "a;" * 32_000,
    "lines": "a\n" * 32_000,
    "fields": 'x = f"' + "{a}" * 20_000 + '"',
    "escaped quotes": '"""' + '\\"""' * 16_000,
    "mixed quotes": "'''\"\"\"" * 10_000,
    "backslashes": '"\\' * 32_000,
    "brackets": "(" * 65_000,
    "blanks": "\n " * 32_000,
    "attributes": "x" + ".a" * 32_000,
    "digits": "9" * 65_000,
    "hex": "x = 0x" + "f" * 65_000,
    "power": "x = 10 ** 100000 ** 100000",
    "nul": "\0" * 65_000,
    "surrogates": "\ud800" * 20_000,
    "wide letters": "\u212a" * 20_000,
    "elif": "if a: a\n" + "elif a: a\n" * 2_500,
    "comments": "#" * 65_000,
    "matches": "match x:\n" + "    case K(__dict__=a): pass\n" * 1_000,
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_judged_at_once(source):
    began_s = time.process_time()
    try:
        assert is_taken(source)
    except PolicyError as error:
        assert error.failure.kind == "source"
    # Some 0.02 s on an idle core; what is not linear takes minutes.
    assert time.process_time() - began_s < 1


PIECES = (
    *("(", ")", "[", "]", "{", "}", ":", ",", ".", "=", "\n", "\n    ", " ", "\\", "'"),
    *('"', '"""', "f'", 'f"{', "}", "#", "\0", "\ud800", "\t", "\r", "\f", "\u202e"),
    *("import ", "from ", "np", "numpy", "lambda a:", "not ", "-", "**", "match x:"),
    *("case K(__class__=", "__import__", "class K:", "def f(", "async ", "await "),
    *("global ", "*", ":=", "yield ", "else ", "if ", "for ", " in ", "1e999", "0x"),
    *("10" * 30, "'{0.__class__}'", "é", "ｆ", "with ", "as ", "try:", "print(", "1j"),
)


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
@settings(max_examples=150, deadline=None)
def test_any_pieces_of_python_are_a_candidate_or_told_what_is_wrong(source):
    try:
        assert is_taken(source)
    except PolicyError as error:
        assert error.failure.kind == "source"
        assert error.failure.message


def mutants(n, draws):
    """Baselines with some pieces cut out, put in, or doubled."""
    texts = [path.read_text() for path in FILES]
    for _ in range(n):
        text = draws.choice(texts)
        for _ in range(draws.randrange(1, 6)):
            at = draws.randrange(len(text) + 1)
            end = min(len(text), at + draws.choice((0, 1, 5, 200)))
            new = draws.choice((*PIECES, text[at:end] * draws.choice((2, 20, 200))))
            text = text[:at] + new + text[end:]
        yield text


@pytest.mark.parametrize(
    "n", [200, pytest.param(100_000, marks=pytest.mark.slow, id="many")]
)
def test_broken_baselines_are_candidates_or_told_what_is_wrong(n):
    slowest_s = 0.0
    for source in mutants(n, random.Random(n)):
        began_s = time.process_time()
        try:
            assert is_taken(source)
        except PolicyError as error:
            assert error.failure.kind == "source"
        slowest_s = max(slowest_s, time.process_time() - began_s)
    assert slowest_s < 1
