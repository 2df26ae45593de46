"""Whatever a hook returns has one meaning, told here, or fails as a decision.

In a process of its own and in ours alike: the same answer is the same decision.
"""

import decimal
import fractions
import math

import numpy as np
import pytest

from evaluators import child, frames
from evaluators.evaluation import PolicyError
from evaluators.problems import load, names
from evaluators.sim.cluster.routing import checked_pairs, checked_route
from evaluators.sim.hooks import (
    checked_count,
    checked_keys,
    checked_modes,
    checked_plan,
)
from tests.problems.small import small

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
INF, NAN, TINY, HUGE = math.inf, math.nan, 5e-324, 10**100
ROWS = 3
REFUSED = "decision"


class Odd(int):
    """An int that says something else whenever it is asked."""

    def __index__(self):
        raise KeyError("index")

    __int__ = __float__ = __eq__ = __lt__ = __hash__ = __index__


class Shifty(np.ndarray):
    """An array that would count its readers."""

    def __array_finalize__(self, other):
        self.seen = getattr(other, "seen", 0) + 1

    def __getitem__(self, key):
        raise KeyError(key)

    def astype(self, *_, **__):
        raise KeyError("astype")


class Raising:
    """An object that numpy asks for its numbers, in vain."""

    def __array__(self, *_, **__):
        raise KeyError("array")


def shifty(values):
    return np.array(values).view(Shifty)


def generator():
    yield from (0, 1, 2)


def own(list_):
    list_.append(list_)
    return list_


def keys(answer):
    return checked_keys(answer, ROWS, "h").tolist()


def modes(answer):
    return checked_modes(answer, ROWS)


def count(answer):
    return checked_count(answer, "h")


def index(answer):
    return checked_route(answer, ROWS).targets


def pairs(answer):
    return checked_pairs(answer, ROWS, 2).tolist()


def grants(answer):
    return tuple(part.tolist() for part in checked_plan(answer, ROWS, 0))


READERS = {
    "keys": keys,
    "values": keys,
    "modes": modes,
    "count": count,
    "index": index,
    "pairs": pairs,
    "grants": grants,
}
NO_NUMBERS = {
    "nothing": None,
    "text": "0",
    "texts": ["0", "1", "2"],
    "bytes": b"012",
    "a dict": {0: 1, 1: 2, 2: 0},
    "a set": {0, 1, 2},
    "a generator": generator(),
    "a lambda": lambda: 0,
    "a type": int,
    "complex": 1j,
    "complex rows": [1j, 2, 3],
    "objects": np.array([0, 1, 2], dtype=object),
    "a huge int": HUGE,
    "huge ints": [HUGE, 1, 2],
    "a decimal": decimal.Decimal(1),
    "fractions": [fractions.Fraction(1), 1, 2],
    "dates": np.array(["2020-01-01"] * 3, dtype="datetime64[D]"),
    "durations": np.zeros(3, dtype="timedelta64[s]"),
    "records": np.zeros(3, dtype=[("a", "i8")]),
    "a ragged list": [[0], [1, 2], []],
    "a list of itself": own([]),
    "rows of arrays": [np.zeros(2), np.zeros(3), 0],
    "a slice": slice(0, 3),
    "an ellipsis": ...,
    "a subclass": Odd(1),
    "subclasses": [Odd(1), 0, 2],
    "an object that raises": Raising(),
    "a cube": np.zeros((1, 1, 1)),
}
SCALARS = {
    # name: (answer, as a count, as an index)
    "zero": (0, 0, (0,)),
    "an int": (2, 2, (2,)),
    "a bool": (True, 1, (1,)),
    "a small type": (np.int8(2), 2, (2,)),
    "an unsigned one": (np.uint64(2), 2, (2,)),
    "a long one": (np.longlong(2), 2, (2,)),
    "a float": (2.0, 2, (2,)),
    "a short float": (np.float32(1), 1, (1,)),
    "a wide float": (np.longdouble(1), 1, (1,)),
    "an array": (np.array(1), 1, (1,)),
    "other endian": (np.array(1, dtype=">i8"), 1, (1,)),
    "minus zero": (-0.0, 0, (0,)),
    "a fraction": (1.5, 1, REFUSED),
    "almost nothing": (TINY, 0, REFUSED),
    "almost minus nothing": (-TINY, REFUSED, REFUSED),
    "minus one": (-1, REFUSED, REFUSED),
    "one too many": (ROWS, ROWS, REFUSED),
    "beyond 32 bits": (2**31, REFUSED, REFUSED),
    "just below": (2**31 - 1, 2**31 - 1, REFUSED),
    "a multiple of 2**64": (2**64, REFUSED, REFUSED),
    "unsigned and large": (2**63, REFUSED, REFUSED),
    "wraps to 0": (-(2**63), REFUSED, REFUSED),
    "large and whole": (1e300, REFUSED, REFUSED),
    "infinite": (INF, REFUSED, REFUSED),
    "minus infinite": (-INF, REFUSED, REFUSED),
    "no number": (NAN, REFUSED, REFUSED),
    "one in a list": ([1], REFUSED, (1,)),
    "several": ([2, 0], REFUSED, (2, 0)),
    "one twice": ([1, 1], REFUSED, (1, 1)),
    "several bools": ([True, False, True], REFUSED, (1, 0, 1)),
    "one out of range": ([0, 3], REFUSED, REFUSED),
    "one from the end": ([0, -1], REFUSED, REFUSED),
    "none": ([], REFUSED, REFUSED),
    "too many": ([0] * 65, REFUSED, REFUSED),
    "a square": ([[0, 1], [1, 0]], REFUSED, REFUSED),
    "a shifty array": (shifty([1, 2]), REFUSED, (1, 2)),
}
LISTS = {
    # name: (answer, as keys, as modes, as grants of waiting rows)
    "ints": ([2, 0, 1], [2, 0, 1], [2, 0, 1], [2, 0, 1]),
    "floats": ([2.0, 0.0, 1.0], [2, 0, 1], [2, 0, 1], [2, 0, 1]),
    "bools": ([True, False, True], [1, 0, 1], [1, 0, 1], [1, 0, 1]),
    "a tuple": ((2, 0, 1), [2, 0, 1], [2, 0, 1], [2, 0, 1]),
    "a range": (range(3), [0, 1, 2], [0, 1, 2], [0, 1, 2]),
    "short floats": (np.float32([0, 1, 2]), [0, 1, 2], [0, 1, 2], [0, 1, 2]),
    "long ints": (np.arange(3, dtype="q"), [0, 1, 2], [0, 1, 2], [0, 1, 2]),
    "unsigned": (np.arange(3, dtype=np.uint64), [0, 1, 2], [0, 1, 2], [0, 1, 2]),
    "other endian": (np.arange(3, dtype=">f8"), [0, 1, 2], [0, 1, 2], [0, 1, 2]),
    "backwards": (np.arange(3)[::-1], [2, 1, 0], [2, 1, 0], [2, 1, 0]),
    "one shown thrice": (np.broadcast_to(1, 3), [1] * 3, [1] * 3, [1] * 3),
    "a masked array": (np.ma.array([0, 1, 2], mask=1), *([[0, 1, 2]] * 3)),
    "a shifty array": (shifty([0, 1, 2]), [0, 1, 2], [0, 1, 2], [0, 1, 2]),
    "fractions": ([0.5, 1.5, 0], [0.5, 1.5, 0], REFUSED, [0, 1, 0]),
    "below zero": ([-1, 0, 1], [-1, 0, 1], REFUSED, REFUSED),
    "minus zero": ([-0.0, 0.0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]),
    "denormals": ([TINY, 0, 1], [TINY, 0, 1], REFUSED, [0, 0, 1]),
    "above": ([3, 0, 1], [3, 0, 1], REFUSED, [3, 0, 1]),
    "beyond 32 bits": ([2**31, 0, 1], [2**31, 0, 1], REFUSED, REFUSED),
    "beyond 63 bits": ([2**63, 0, 1], [2.0**63, 0, 1], REFUSED, REFUSED),
    "beyond floats": ([1e308, -1e308, 0], [1e308, -1e308, 0], REFUSED, REFUSED),
    "infinite": ([INF, 0, 1], [INF, 0, 1], REFUSED, REFUSED),
    "minus infinite": ([-INF, 0, 1], [-INF, 0, 1], REFUSED, REFUSED),
    "no number": ([NAN, 0, 1], REFUSED, REFUSED, REFUSED),
    "no short number": (np.float16([NAN, 0, 1]), REFUSED, REFUSED, REFUSED),
    "too few": ([0, 1], REFUSED, REFUSED, REFUSED),
    "too many": ([0, 1, 2, 0], REFUSED, REFUSED, REFUSED),
    "none": ([], REFUSED, REFUSED, REFUSED),
    "one for all": (1.0, REFUSED, REFUSED, REFUSED),
    "a column": ([[0], [1], [2]], REFUSED, REFUSED, REFUSED),
    "a row": ([[0, 1, 2]], REFUSED, REFUSED, REFUSED),
}
PAIRS = {
    "none": ([], []),
    "none, of a width": (np.zeros((0, 2)), []),
    "one": ([(2, 1)], [[2, 1]]),
    "all": ([(0, 1), (1, 0), (2, 1)], [[0, 1], [1, 0], [2, 1]]),
    "floats": (np.array([[2.0, 1.0]]), [[2, 1]]),
    "bools": ([(True, False)], [[1, 0]]),
    "a fraction": ([(0.5, 1)], REFUSED),
    "one twice": ([(0, 0), (0, 1)], REFUSED),
    "a request too many": ([(3, 0)], REFUSED),
    "a replica too many": ([(0, 2)], REFUSED),
    "from the end": ([(-1, 0)], REFUSED),
    "to the end": ([(0, -1)], REFUSED),
    "wraps to 0": ([(2**64, 0)], REFUSED),
    "large": ([(2**62, 0)], REFUSED),
    "infinite": ([(INF, 0)], REFUSED),
    "no number": ([(NAN, 0)], REFUSED),
    "flat": ([0, 1], REFUSED),
    "one number": (0, REFUSED),
    "triples": ([(0, 1, 2)], REFUSED),
}
PLANS = {
    "no tuple": [[0, 0, 0], []],
    "one": ([0, 0, 0],),
    "three": ([0, 0, 0], [], []),
    "an array": np.zeros((2, 3)),
    "swapped": ([], [0, 0, 0]),
}


def cases():
    for name, answer in NO_NUMBERS.items():
        for kind in READERS:
            given = (answer, []) if kind == "grants" else answer
            yield pytest.param(kind, given, REFUSED, id=f"{kind} of {name}")
    for name, (answer, *meanings) in SCALARS.items():
        for kind, meaning in zip(("count", "index"), meanings, strict=True):
            yield pytest.param(kind, answer, meaning, id=f"{kind} of {name}")
    for name, (answer, as_keys, as_modes, as_grants) in LISTS.items():
        yield pytest.param("keys", answer, as_keys, id=f"keys of {name}")
        yield pytest.param("modes", answer, as_modes, id=f"modes of {name}")
        meaning = as_grants if as_grants is REFUSED else (as_grants, [])
        yield pytest.param("grants", (answer, []), meaning, id=f"grants of {name}")
    for name, (answer, meaning) in PAIRS.items():
        yield pytest.param("pairs", answer, meaning, id=f"pairs of {name}")
    for name, answer in PLANS.items():
        yield pytest.param("grants", answer, REFUSED, id=f"plan of {name}")


def read(kind, answer):
    """What our process makes of it."""
    try:
        return READERS[kind](answer)
    except PolicyError as error:
        return error.failure.kind


def crossed(kind, answer):
    """What our process makes of it when it comes from a process of its own."""
    hook = next(h for name in names() for h in load(name).hooks if h.returns == kind)
    try:
        parts = frames.unpack(frames.pack(child._plain(hook, answer)))
    except PolicyError as error:
        return error.failure.kind
    return read(kind, parts if kind == "grants" else parts[0])


@pytest.mark.parametrize(("kind", "answer", "meaning"), cases())
def test_an_answer_means_one_thing_or_is_no_decision(kind, answer, meaning):
    assert read(kind, answer) == meaning
    assert crossed(kind, answer) == meaning
    if meaning is not REFUSED and kind in ("count", "index", "modes"):
        values = READERS[kind](answer)
        flat = (values,) if kind == "count" else values
        assert {type(value) for value in flat} == {int}


@pytest.mark.parametrize("kind", READERS)
def test_more_than_fits_a_frame_never_leaves_the_policys_process(kind):
    huge = np.broadcast_to(0.0, (1 << 40,))
    assert crossed(kind, (huge, huge) if kind == "grants" else huge) == REFUSED


def test_every_kind_of_answer_has_a_table():
    kinds = {hook.returns for name in names() for hook in load(name).hooks}
    assert kinds <= {*READERS, "nothing"}


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("answer", [None, "0", [NAN], [-1] * 9, HUGE, (1, 2, 3, 4, 5)])
def test_a_run_ends_as_the_policys_failure_whatever_it_answers(name, answer):
    problem = load(name)
    exam = small(name)
    for hook in problem.hooks:
        if hook.returns == "nothing":
            continue
        policy = type("Odd", (), {hook.name: lambda self, *views: answer})()
        outcome = problem.evaluate(policy, *exam)
        is_asked = hook.name in ("admit_key", "token_budget", "route", "schedule")
        assert outcome.failure is None or outcome.failure.kind in (
            "decision",
            "interface",
        )
        assert outcome.failure or not is_asked
