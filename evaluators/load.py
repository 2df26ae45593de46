"""Make a policy object of a policy's source text."""

import ast
import builtins as python
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType, ModuleType
from typing import Any

from evaluators.evaluation import PolicyError
from evaluators.problem import Hook

MODULE = "policy"
FILE = "<policy>"
IMPORTS = (
    "numpy",
    "math",
    "collections",
    "heapq",
    "bisect",
    "functools",
    "itertools",
    "dataclasses",
    "typing",
    "statistics",
    "__future__",
)
PUBLISHED = IMPORTS[:-1]
"""Those that authors are told of."""
_NAMES = "|".join(IMPORTS)
_IMPORT = re.compile(r"\bimport\b")
_PLAIN_IMPORT = re.compile(
    rf"^[ \t]*(?:import (?:{_NAMES})(?:\.\w+)*(?: as \w+)?"
    rf"|from (?:{_NAMES})(?:\.\w+)* import \w+(?:, \w+)*)$",
    re.MULTILINE | re.ASCII,
)
"""Where every line that imports is one of these, none has to be looked for in a tree,
which takes most of the time that it takes to load a policy."""
_BARRED = frozenset(("open", "input", "breakpoint", "exit", "quit", "help"))


def load_policy(
    source: str, hooks: Sequence[Hook], builtins: dict[str, Any] | None = None
) -> object:
    """Run ``source`` and make an instance of its class that has one of ``hooks``.

    Raises ``PolicyError`` of kind "source" or "interface" with a message that says what
    to change, and lets ``MemoryError`` and ``SystemExit`` pass. The list of imports
    teaches authors what an engine will have; it is not what holds a policy back.
    ``builtins`` are those that it is given, as it may change them: ``offered()`` of its
    own where none are given.
    """
    code = _compiled(source)
    module = ModuleType(MODULE)
    module.__dict__["__builtins__"] = builtins or offered()
    # Dataclasses look their module up by name while they are being made.
    sys.modules[MODULE] = module
    try:
        exec(code, module.__dict__)
    except (PolicyError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - it runs the policy's own lines
        raise PolicyError("source", described(error)) from None
    finally:
        del sys.modules[MODULE]
    return _instance(_policy_class(vars(module), hooks))


def hooks_of(policy: object, hooks: Sequence[Hook]) -> tuple[str, ...]:
    """Those of ``hooks`` that the policy answers."""
    return tuple(
        hook.name for hook in hooks if callable(getattr(policy, hook.name, None))
    )


def described(error: BaseException) -> str:
    """Type, text and line of what a policy raised."""
    text = f"{type(error).__name__}: {error}"
    line = _line(error)
    return text if line is None else f"line {line}: {text}"


def _line(error: BaseException) -> int | None:
    """Last line of the policy that the error passed through."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _compiled(source: str) -> CodeType:
    try:
        if len(_PLAIN_IMPORT.findall(source)) == len(_IMPORT.findall(source)):
            return compile(source, FILE, "exec", dont_inherit=True)
        tree = ast.parse(source, FILE)
        for line, name in _imports(tree):
            _check_import(name, f"line {line}: ")
        return compile(tree, FILE, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise PolicyError("source", f"line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise PolicyError("source", f"cannot be parsed: {error}") from None


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def _check_import(name: str, where: str = "") -> None:
    if name.split(".")[0] not in IMPORTS:
        raise PolicyError(
            "source",
            f"{where}import {name} is not available; a policy may import "
            + ", ".join(PUBLISHED),
        )


def offered() -> dict[str, Any]:
    """What a policy finds among its builtins."""
    namespace = {k: v for k, v in vars(python).items() if k not in _BARRED}
    namespace["__import__"] = _import
    return namespace


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    # C code that warns asks with a list, from 3.13 by whatever builtins it finds.
    if not (name == "warnings" and isinstance(fromlist, list)):
        _check_import("." * level + name)
    return __import__(name, globals, locals, fromlist or (), level)


def _policy_class(namespace: Mapping[str, object], hooks: Sequence[Hook]) -> type:
    own = dict.fromkeys(
        value
        for value in namespace.values()
        if isinstance(value, type) and value.__module__ == MODULE
    )
    mine = [kind for kind in own if hooks_of(kind, hooks)]
    leaves = [
        kind
        for kind in mine
        if not any(other is not kind and issubclass(other, kind) for other in mine)
    ]
    if len(leaves) == 1:
        return leaves[0]
    known = ", ".join(hook.name for hook in hooks)
    names = ", ".join(kind.__name__ for kind in leaves)
    found = f"the classes {names} each have" if leaves else "no class has"
    raise PolicyError(
        "interface",
        f"{found} one of the hooks {known}; expected exactly one class",
    )


def _instance(kind: type) -> object:
    try:
        made: object = kind()
    except (PolicyError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - it runs the policy's own lines
        raise PolicyError(
            "interface", f"{kind.__name__}() failed: {described(error)}"
        ) from None
    return made
