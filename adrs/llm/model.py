"""What every provider promises: messages in, one reply out, or a typed error."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol


class Message(NamedTuple):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


class Key(NamedTuple):
    """Which question this is, for recording, replay and random streams."""

    round: int
    slot: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered and what it cost; ``usd`` is 0 where no price is known."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0


class ModelError(Exception):
    """This one question got no usable answer (refused, empty, cut off): try another.

    ``spent`` is what the failed question cost all the same, without any text.
    ``is_outage`` tells that the endpoint gave no answer: many of these in a row mean
    that it is down.
    """

    def __init__(
        self, message: str, spent: Reply = Reply(""), *, is_outage: bool = False
    ) -> None:
        self.spent = spent
        self.is_outage = is_outage
        super().__init__(message)


class ModelUnavailableError(Exception):
    """The endpoint is down or refuses the credentials: pause, do not burn budget."""


class Model(Protocol):
    """Something that writes text.

    ``complete`` may be called from several threads at once. Equal ``key`` and messages
    must give equal replies for models that are deterministic (offline, scripted,
    recorded). Raises ``ModelError`` or ``ModelUnavailableError``, nothing else.
    """

    name: str

    def complete(self, messages: tuple[Message, ...], key: Key) -> Reply:
        """Answer the last message."""
        ...
