"""What a policy's text must not hold, told at once, by line, with the way out.

This is advice to authors and a cheap triage; nothing here holds a policy back. What
does is the process it runs in. So the lists are short, and what an honest policy may
write is let through even where a hostile one could use it.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from adrs.sizes import Finding, places, too_deep, too_many
from evaluators.evaluation import PolicyError
from evaluators.load import PUBLISHED

MAX_TOLD = 5
"""Findings that a message names beside the first; it is cut to 200 letters anyway."""

_SEEDED = "use rng = np.random.default_rng(0), made in __init__"
_VIEWS_ONLY = "a policy sees its views and nothing else"
_ONE_THREAD = "a policy is asked and answers, in one thread"
_ALLOWED = f"a policy may import {', '.join(PUBLISHED)}"
_KEEP = "keep what is to be remembered on self"


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


def _each(names: str, value: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), value)


_ELSEWHERE = {
    **_each("random secrets uuid", _SEEDED),
    **_each("time datetime", "the time is in the views, in simulated seconds"),
    **_each("threading multiprocessing concurrent asyncio signal sched", _ONE_THREAD),
    **_each("scipy pandas torch sklearn numba jax cupy array", "write it with numpy"),
    **_each("os sys io pathlib socket subprocess gc inspect", _VIEWS_ONLY),
    **_each("ctypes importlib builtins types operator", _ALLOWED),
}
_NAMES = {
    **_each("eval exec compile __import__", "write the code itself out"),
    **_each("open", f"there are no files; {_KEEP}"),
    **_each("input breakpoint help", "nobody answers; print is fine"),
    **_each("exit quit", "return an answer, whatever happens"),
    **_each("globals locals vars dir", _KEEP),
}
_FILES = _words(
    "load save savez savez_compressed loadtxt savetxt genfromtxt fromfile "
    "memmap fromregex ctypeslib f2py distutils"
)
_MAKERS = _words(
    "default_rng Generator BitGenerator SeedSequence PCG64 PCG64DXSM Philox "
    "SFC64 MT19937 RandomState"
)
_FRAMES = _words(
    "f_back f_builtins f_code f_globals f_locals tb_frame tb_next gi_frame "
    "gi_code cr_frame cr_await ag_frame ag_await"
)
_PLAIN = _words("__init__ __post_init__ __setattr__ __name__ __main__")
"""Double underscores that honest policies write."""
_HIDDEN_IN_TEXT = re.compile(r"\A__\w+__\Z|[.\[]__\w+__")
_MODULES = frozenset(sys.stdlib_module_names) - {*PUBLISHED, "abc"}
_RANDOM = "numpy.random"


class _Known(NamedTuple):
    """Names that the file makes its own, and what its imported names stand for."""

    own: frozenset[str]
    imported: dict[str, str]


def check(tree: ast.Module) -> None:
    """Raise ``PolicyError`` "source" for what ``tree`` must not hold.

    The message tells the first finding whole, and of others where and what.
    """
    found = sorted(set(findings(tree)))
    if not found:
        return
    first, *others = found
    text = f"{_where(first)}: {first.instead}"
    for other in others[:MAX_TOLD]:
        text += f"; also {_where(other)}"
    raise PolicyError("source", text)


def _where(found: Finding) -> str:
    return f"line {found.line}: {found.what}" if found.line else found.what


def findings(tree: ast.Module) -> Iterator[Finding]:
    """All that must go, in no particular order; of what is too deep only that."""
    found = places(tree)
    deep = list(too_deep(found))
    if deep:
        yield from deep
        return
    yield from too_many(found)
    kinds: dict[type[ast.AST], list[Any]] = defaultdict(list)
    for node, _, _ in found:
        kinds[type(node)].append(node)
    known = _known(kinds)
    for kind, finder in _FINDERS.items():
        for node in kinds[kind]:
            yield from finder(node, known)


def _known(kinds: Mapping[type[ast.AST], list[Any]]) -> _Known:
    own = {n.id for n in kinds[ast.Name] if isinstance(n.ctx, ast.Store)}
    own |= {node.arg for node in kinds[ast.arg]}
    own |= {
        node.name for kind in (ast.FunctionDef, ast.ClassDef) for node in kinds[kind]
    }
    imported = {}
    for node in kinds[ast.Import]:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            imported[alias.asname or top] = alias.name if alias.asname else top
    for node in kinds[ast.ImportFrom]:
        for alias in node.names:
            imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return _Known(frozenset(own - imported.keys()), imported)


def _of_import(node: ast.Import, known: _Known) -> Iterator[Finding]:
    del known
    for alias in node.names:
        yield from _of_module(node.lineno, alias.name)


def _of_import_from(node: ast.ImportFrom, known: _Known) -> Iterator[Finding]:
    del known
    line = node.lineno
    if node.level:
        yield Finding(line, "a relative import", f"a policy is one file; {_ALLOWED}")
        return
    module = node.module or ""
    yield from _of_module(line, module)
    for name in (alias.name for alias in node.names):
        if name == "*":
            what = f"from {module} import *"
            yield Finding(line, what[:60], "import the names that are used")
        else:
            yield from _of_member(line, f"{module}.{name}")


def _of_module(line: int, name: str) -> Iterator[Finding]:
    top = name.partition(".")[0]
    if top not in PUBLISHED and top != "__future__":
        what = f"import {name[:60]} is not available"
        yield Finding(line, what, _ELSEWHERE.get(top, _ALLOWED))
    elif "." in name:
        yield from _of_member(line, name)


def _of_member(line: int, dotted: str) -> Iterator[Finding]:
    """What is wrong with a member of an allowed module, by its full name."""
    module, _, name = dotted.rpartition(".")
    what = dotted[:60]
    if module == _RANDOM and name not in _MAKERS and not _is_hidden(name):
        yield Finding(line, f"{what} draws from a state that all share", _SEEDED)
    elif module == "numpy" and name in _FILES:
        yield Finding(line, what, _NAMES["open"])
    elif module in PUBLISHED and module != "numpy" and name in _MODULES:
        yield Finding(line, what, _VIEWS_ONLY)


def _of_name(node: ast.Name, known: _Known) -> Iterator[Finding]:
    if node.id in known.own:
        return
    instead = _NAMES.get(node.id)
    if instead:
        yield Finding(node.lineno, f"{node.id} is not available", instead)
    elif _is_hidden(node.id):
        yield _hidden(node.lineno, node.id)


def _of_attribute(node: ast.Attribute, known: _Known) -> Iterator[Finding]:
    if _is_hidden(node.attr):
        yield _hidden(node.lineno, node.attr)
        return
    dotted = _dotted(node, known)
    if dotted:
        yield from _of_member(node.lineno, dotted)


def _of_call(node: ast.Call, known: _Known) -> Iterator[Finding]:
    func = node.func
    if isinstance(func, ast.Name) and func.id == "id" and "id" not in known.own:
        instead = "addresses differ from run to run; use the id column or a row number"
        yield Finding(node.lineno, "id()", instead)
    module, _, name = _dotted(func, known).rpartition(".")
    if module == _RANDOM and name in _MAKERS - {"Generator"}:
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        if all(isinstance(a, ast.Constant) and a.value is None for a in given):
            what = f"np.random.{name} without a seed differs from run to run"
            yield Finding(node.lineno, what, "give it a constant, such as 0")


def _dotted(node: ast.AST, known: _Known) -> str:
    """Full name of what an expression reads of a module; "" if of none."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    root = known.imported.get(node.id, "") if isinstance(node, ast.Name) else ""
    return ".".join((root, *reversed(names))) if root else ""


def _of_constant(node: ast.Constant, known: _Known) -> Iterator[Finding]:
    """Double underscores in strings, for getattr and format; docstrings may."""
    del known
    if isinstance(node.value, str):
        found = _HIDDEN_IN_TEXT.search(node.value)
        if found and _is_hidden(found[0].strip(".[")):
            yield _hidden(node.lineno, repr(found[0]))


def _of_match(node: ast.MatchClass, known: _Known) -> Iterator[Finding]:
    del known
    hidden = [name for name in node.kwd_attrs if _is_hidden(name)]
    yield from (_hidden(node.lineno, name) for name in hidden)


def _of_global(node: ast.Global, known: _Known) -> Iterator[Finding]:
    del known
    yield Finding(node.lineno, f"global {node.names[0][:60]}", _KEEP)


def _of_async(node: ast.AsyncFunctionDef, known: _Known) -> Iterator[Finding]:
    del known
    yield Finding(node.lineno, "async code", _ONE_THREAD)


def _is_hidden(name: str) -> bool:
    is_special = name.startswith("__") and name.endswith("__") and name not in _PLAIN
    return is_special or name in _FRAMES


def _hidden(line: int, name: str) -> Finding:
    return Finding(line, name[:60], "read only the columns of the views and self")


_FINDERS: Mapping[type[ast.AST], Callable[[Any, _Known], Iterator[Finding]]] = {
    ast.Import: _of_import,
    ast.ImportFrom: _of_import_from,
    ast.Name: _of_name,
    ast.Attribute: _of_attribute,
    ast.Call: _of_call,
    ast.Constant: _of_constant,
    ast.MatchClass: _of_match,
    ast.Global: _of_global,
    ast.AsyncFunctionDef: _of_async,
}
