"""The verbs of ``adrs``; each file of this folder is one, with ``run(settings)``."""

import ast
from pathlib import Path


def verbs() -> dict[str, str]:
    """First line of each verb's docstring by its name; nothing is imported for it."""
    files = sorted(Path(__file__).parent.glob("[!_]*.py"))
    return {file.stem: _title(file) for file in files}


def _title(file: Path) -> str:
    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return doc.split("\n")[0]
