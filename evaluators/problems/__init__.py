"""The problems; each file of this folder defines one as ``PROBLEM``."""

import importlib
import pkgutil
from typing import cast

from evaluators.problem import Problem


def names() -> tuple[str, ...]:
    """Names of all problems, by the files of this folder."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name: str) -> Problem:
    """The problem of that name; raises ``ValueError`` listing the names there are."""
    if name not in names():
        raise ValueError(f"unknown problem {name!r}; there are {', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    return cast(Problem, module.PROBLEM)
