"""A policy's source text with where it came from, and what was recorded of it."""

import ast
import hashlib
from dataclasses import dataclass

from adrs import gate, syntax
from adrs.sizes import check_text
from evaluators.evaluation import Evaluation, PolicyError, printable

IDEA_CHARS = 120


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

    Raises ``PolicyError`` of kind "source" when it is too large, does not parse, or
    holds what ``adrs.gate`` keeps out; the message names the line and the way out.
    """
    tree = parse(source)
    gate.check(tree)
    title = (ast.get_docstring(tree) or "").strip().split("\n")[0]
    try:
        shape = _shape(tree)
    except RecursionError:
        raise PolicyError("source", "an expression has too many terms") from None
    digest = hashlib.sha256(shape.encode(errors="surrogatepass")).hexdigest()[:16]
    return Candidate(digest, source, parents, origin, printable(title, IDEA_CHARS))


def parse(source: str) -> ast.Module:
    """Syntax tree of a policy, sized before it is parsed.

    Raises ``PolicyError`` of kind "source" when the text is above a cap of
    ``adrs.sizes`` or not Python.
    """
    check_text(source)
    try:
        return syntax.tree(source)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise PolicyError("source", f"{where}{error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise PolicyError("source", f"cannot be parsed: {error}") from None


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
