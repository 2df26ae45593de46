"""Python text as a syntax tree, for the many threads that propose policies."""

import ast
import threading
from typing import Literal, overload

_ONE_AT_A_TIME = threading.Lock()
"""CPython counts the depth of a tree being made for all threads together, and raises
SystemError "AST constructor recursion depth mismatch" when two make one (gh-106905)."""


@overload
def tree(source: str) -> ast.Module: ...
@overload
def tree(source: str, mode: Literal["eval"]) -> ast.Expression: ...
def tree(source: str, mode: str = "exec") -> ast.AST:
    """As ``ast.parse``, from any thread."""
    with _ONE_AT_A_TIME:
        return ast.parse(source, mode=mode)
