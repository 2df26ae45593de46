"""How large a policy's text may be, so that reading it is quick and safe.

A policy is an idea. What is larger than these caps is machine output or a table of the
trace: ten of the shipped baselines in one file are below all of them.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from evaluators.evaluation import PolicyError

MAX_SOURCE_BYTES = 65_536
MAX_TOKENS = 12_000
"""Names, numbers, strings and signs; a parser takes some microseconds for each."""
MAX_NESTING = 100
"""Deeper brackets or indentation have crashed CPython's compiler; see security.md."""
MAX_DIGITS = 64
MAX_DEPTH = 100
"""Levels of the syntax tree; a chain of terms is as deep as it is long."""
MAX_CONSTANTS = 500
"""Numbers and strings in all. What memorises with fewer, other scenarios find out."""
MAX_TABLE = 200
"""Numbers and strings in one list, tuple, set or dict, with those inside it."""
MAX_TEXT = 200
"""Characters of one string; docstrings, which no policy reads, are free."""
MAX_TEXTS = 2_000
"""Characters of all strings together."""
MAX_BITS = 64
"""Of a whole number: a hash constant fits, a table packed into a number does not."""

_TOKEN = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+(?:""")?'
    r"|'''(?:[^'\\]++|\\.|'(?!''))*+(?:''')?"
    r'|"(?:[^"\\\n]++|\\.)*+"?'
    r"|'(?:[^'\\\n]++|\\.)*+'?"
    r"|\#[^\n]*+|\w++|[^\w\s]",
    re.DOTALL,
)
_PREFIXES = frozenset(("-", "+", "~", "not", "await", "lambda", ":"))
_FIELD = 20
"""Tokens that a parser reads in the time that it takes for a field of an f-string."""
_TABLE = "compute what is needed; a table learnt from a trace fails on any other"
_SPLIT = "split it into statements and methods"
_DATA = (int, float, complex, str, bytes)
_DISPLAYS = (ast.List, ast.Tuple, ast.Set, ast.Dict)


class Finding(NamedTuple):
    """Something in a source that must go: where, what, and what to do instead."""

    line: int
    what: str
    instead: str


def check_text(source: str) -> None:
    """Raise ``PolicyError`` "source" for text that no parser should be given.

    Looks at characters only, in one pass, so that it is safe on any text.
    """
    size = len(source.encode(errors="surrogatepass"))
    if size > MAX_SOURCE_BYTES:
        raise PolicyError(
            "source", f"{size} bytes, at most {MAX_SOURCE_BYTES}: a policy is one idea"
        )
    tokens = [token for token in _TOKEN.findall(source) if token[0] != "#"]
    n_tokens = len(tokens)
    n_tokens += _FIELD * sum(t.count("{") for t in tokens if t[0] in "\"'")
    if n_tokens > MAX_TOKENS:
        raise PolicyError(
            "source",
            f"{n_tokens} words and signs, at most {MAX_TOKENS}: a policy is one idea; "
            "leave out what does not matter",
        )
    digits = max((len(t) for t in tokens if t[0].isdigit()), default=0)
    if digits > MAX_DIGITS:
        raise PolicyError(
            "source", f"a number of {digits} digits, at most {MAX_DIGITS}: {_TABLE}"
        )
    depth = max(_nesting(tokens), _indentation(source))
    if depth > MAX_NESTING:
        raise PolicyError(
            "source",
            f"nested {depth} deep, at most {MAX_NESTING}: split it into statements",
        )


def _nesting(tokens: list[str]) -> int:
    """How deeply brackets and prefix operators nest at most."""
    depth = run = deepest = 0
    for token in tokens:
        run = run + 1 if token in _PREFIXES else 0
        if token in "([{":
            depth += 1
        elif token in ")]}":
            depth = max(0, depth - 1)
        deepest = max(deepest, depth, run)
    return deepest


def _indentation(source: str) -> int:
    """Most blanks before the first word of a line."""
    lines = source.split("\n")
    return max(len(line) - len(line.lstrip()) for line in lines)


class Place(NamedTuple):
    """A node, its level, and the line of the outermost table that it is in, or 0."""

    node: ast.AST
    depth: int
    table: int


def places(tree: ast.Module) -> list[Place]:
    """All nodes but strings that stand alone, which do nothing, such as docstrings."""
    left = [Place(tree, 1, 0)]
    found = []
    while left:
        place = left.pop()
        node, depth, table = place
        found.append(place)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if not table and isinstance(node, _DISPLAYS):
            table = node.lineno
        left += [Place(child, depth + 1, table) for child in _children(node)]
    return found


def _children(node: ast.AST) -> list[ast.AST]:
    """Nodes just below one, but for signs and contexts, which are of their kind only.

    ``ast.iter_child_nodes`` does the same in twice the time.
    """
    children: list[Any] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if type(value) is list:
            children += value
        else:
            children.append(value)
    return [each for each in children if isinstance(each, ast.AST) and each._fields]


class _Count(NamedTuple):
    """How many there are of something, on which line if on one."""

    size: int = 0
    line: int = 0


def too_deep(found: Sequence[Place]) -> Iterator[Finding]:
    """The deepest level, if it is too deep."""
    node, depth, _ = max(found, key=lambda place: place.depth)
    deepest = _Count(depth, getattr(node, "lineno", 0))
    yield from _above(deepest, MAX_DEPTH, "{} levels in each other", _SPLIT)


def too_many(found: Sequence[Place]) -> Iterator[Finding]:
    """Constants, letters or bits that are too many."""
    tables: Counter[int] = Counter()
    texts, bits = [_Count()], [_Count()]
    for node, _, table in found:
        if isinstance(node, ast.Constant) and type(node.value) in _DATA:
            tables[table] += 1
            if isinstance(node.value, str | bytes):
                texts.append(_Count(len(node.value), node.lineno))
            elif isinstance(node.value, int):
                bits.append(_Count(node.value.bit_length(), node.lineno))
    rows = [_Count(count, line) for line, count in tables.items() if line]
    letters = sum(text.size for text in texts)
    rows.append(_Count())
    yield from _above(max(rows), MAX_TABLE, "a table of {} values")
    yield from _above(max(texts), MAX_TEXT, "a string of {} letters")
    yield from _above(max(bits), MAX_BITS, "a number of {} bits")
    yield from _above(_Count(tables.total()), MAX_CONSTANTS, "{} constants in all")
    yield from _above(_Count(letters), MAX_TEXTS, "strings of {} letters in all")


def _above(
    found: _Count, most: int, what: str, instead: str = _TABLE
) -> Iterator[Finding]:
    if found.size > most:
        yield Finding(found.line, f"{what.format(found.size)}, at most {most}", instead)
