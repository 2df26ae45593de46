"""Markdown tables."""

from collections.abc import Iterable, Sequence


def table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    names = tuple(head)
    lines = [names, tuple("---" for _ in names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
