"""Models that write policies; each file but ``model`` is one provider."""

import importlib
import pkgutil
from types import ModuleType

CONTRACT = "model"
"""The file that says what a provider promises; it is none itself."""


def names() -> tuple[str, ...]:
    """Names of all providers, by the files of this folder."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if name != CONTRACT))


def load(name: str) -> ModuleType:
    """The provider of that name: a module with ``build(problem, seed, **options)``.

    Raises ``ValueError`` listing the names there are.
    """
    if name not in names():
        raise ValueError(f"unknown provider {name!r}; there are {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}")
