"""The one place where a policy's hook is called: what it raises is its own fault."""

from collections.abc import Callable
from typing import Any

from evaluators.evaluation import PolicyError


def called(name: str, hook: Callable[..., Any], *views: object) -> Any:  # noqa: ANN401
    """What a hook answers to its views.

    Raises ``PolicyError`` "exception" with what it raised, a ``PolicyError`` as it is.
    """
    try:
        return hook(*views)
    except PolicyError:
        raise
    except Exception as error:
        raise PolicyError(
            "exception", f"{name}: {type(error).__name__}: {error}"
        ) from error
