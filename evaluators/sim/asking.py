"""The one place where a policy's hook is called: what it raises is its own fault.

Unless the hook is a question to another process (``asks_another`` is true of it): that
says itself what the policy did wrong, and all else that it raises is ours.
"""

from collections.abc import Callable
from typing import Any

from evaluators.evaluation import PolicyError


def called(name: str, hook: Callable[..., Any], *views: object) -> Any:  # noqa: ANN401
    """What a hook answers to its views.

    Raises ``PolicyError`` "exception" with what it raised, a ``PolicyError`` as it is,
    and whatever befell a question to another process.
    """
    try:
        return hook(*views)
    except PolicyError:
        raise
    except Exception as error:
        if getattr(hook, "asks_another", False):
            raise
        raise PolicyError(
            "exception", f"{name}: {type(error).__name__}: {error}"
        ) from error
