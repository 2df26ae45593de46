"""A search again from recorded replies: how long it goes on."""

from collections.abc import Callable

from adrs.budget import Limits
from adrs.llm.model import Key
from adrs.llm.recorded import Replies


def untimed(limits: Limits) -> Limits:
    """The limits without the clock: how soon a search ended is in its replies."""
    return limits._replace(seconds=None)


def ending(replies: Replies, slots: int, limits: Limits) -> Callable[[int], str | None]:
    """Why the recorded search did not ask a round, None for one that it asked.

    All other limits stop a search again where they stopped it before, so what is left
    is the clock, where it was limited, or "replies": it never came to an end.
    """
    reason = "replies" if limits.seconds is None else "seconds"

    def ended(round: int) -> str | None:
        keys = (Key(round, slot, 0) for slot in range(slots))
        return None if any(map(replies.has_key, keys)) else reason

    return ended
