"""A policy's source text with where it came from, and what was recorded of it."""

import ast
import hashlib
from dataclasses import dataclass

from evaluators.evaluation import Evaluation, PolicyError

MAX_SOURCE_BYTES = 65_536
MAX_NESTING = 100
"""Deeper brackets or indentation have crashed CPython's compiler; see security.md."""

_PREFIXES = ("-", "+", "~", "not ", "lambda:", "await ")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy as text.

    ``id`` is the first 16 hex digits of the hash of the normalised source, so that two
    sources that differ only in layout, comments or docstrings are one candidate.
    ``parents`` are ids: the policy that was to be improved first, then those shown
    beside it. ``origin`` says who made it ("seed fcfs", "openai gpt-x"), ``idea`` is
    the first line of its docstring.
    """

    id: str
    source: str
    parents: tuple[str, ...]
    origin: str
    idea: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One evaluated candidate.

    ``round`` and ``slot`` say when it was asked for; seeds are round 0.
    """

    round: int
    slot: int
    candidate: Candidate
    evaluation: Evaluation


def candidate(source: str, *, parents: tuple[str, ...] = (), origin: str) -> Candidate:
    """Make a candidate of ``source``.

    Raises ``PolicyError`` of kind "source" when it is too large, nested too deeply or
    does not parse; the message names the line.
    """
    tree = parse(source)
    idea = (ast.get_docstring(tree) or "").strip().split("\n")[0][:120]
    try:
        shape = _shape(tree)
    except RecursionError:
        raise PolicyError("source", "an expression has too many terms") from None
    digest = hashlib.sha256(shape.encode(errors="surrogatepass")).hexdigest()[:16]
    return Candidate(digest, source, parents, origin, idea)


def parse(source: str) -> ast.Module:
    """Syntax tree of a policy, sized before it is parsed.

    Raises ``PolicyError`` of kind "source" when the text is over 64 KiB, nested deeper
    than 100, or not Python.
    """
    size = len(source.encode(errors="surrogatepass"))
    if size > MAX_SOURCE_BYTES:
        raise PolicyError("source", f"{size} bytes; at most {MAX_SOURCE_BYTES}")
    depth = nesting(source)
    if depth > MAX_NESTING:
        raise PolicyError("source", f"nested {depth} deep; at most {MAX_NESTING}")
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise PolicyError("source", f"line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise PolicyError("source", f"cannot be parsed: {error}") from None


def nesting(source: str) -> int:
    """Upper bound of how deeply a source nests, by brackets, indentation and operators.

    Counts characters only, so that it is safe on text that would crash a parser.
    """
    depth = deepest = 0
    for char in source:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth = max(0, depth - 1)
    lines = source.split("\n")
    indent = max((len(line) - len(line.lstrip()) for line in lines), default=0)
    return max(deepest, indent, max(_longest_run(line) for line in lines))


def _longest_run(line: str) -> int:
    """Length of the longest run of one repeated prefix operator or chained keyword."""
    longest = 0
    compact = line.replace("- ", "-").replace("+ ", "+").replace("~ ", "~")
    for operator in _PREFIXES:
        run = 0
        while operator * (run + 1) in compact and run <= MAX_NESTING:
            run += 1
        longest = max(longest, run)
    return longest


def _shape(node: object) -> str:
    """Text of a syntax tree without docstrings and empty fields.

    Not ``ast.dump``, whose text changed between Python versions: ids must not.
    """
    if isinstance(node, list):
        return "[" + ",".join(map(_shape, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
        fields["body"] = node.body[1:] if _has_docstring(node) else node.body
    fields.pop("kind", None)
    parts = (f"{k}={_shape(v)}" for k, v in fields.items() if v is not None and v != [])
    return f"{type(node).__name__}({','.join(parts)})"


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
