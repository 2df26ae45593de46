"""The model that needs no key: it varies policies on their syntax trees."""

import re
from typing import Literal

from adrs.llm.model import Key, Message, Model, ModelError, Reply
from adrs.variation.vary import OPERATORS, TUNE, vary
from adrs.variation.vocabulary import Vocabulary
from evaluators import rng
from evaluators.problem import Problem

BLOCK = re.compile(r"^(`{3,})python[^\n]*\n(.*?)^\1\s*$", re.DOTALL | re.MULTILINE)


def build(
    problem: Problem, seed: int, *, operators: Literal["all", "tune"] = "all"
) -> Model:
    """Model that varies the first policy in the question with the help of the others.

    ``operators`` "tune" only moves class attributes of the first: the control arm that
    says how much of a gain is tuning.
    """
    if operators not in ("all", "tune"):
        raise ValueError(f"llm.operators is {operators!r}; expected all or tune")
    return Offline(problem, seed, operators)


class Offline:
    """Draws each change from a random stream of the seed and the question's key."""

    def __init__(
        self, problem: Problem, seed: int, operators: Literal["all", "tune"]
    ) -> None:
        self.name = "offline" if operators == "all" else "offline-tune"
        self._vocabulary = Vocabulary(problem)
        self._seed = seed
        self._operators = OPERATORS if operators == "all" else TUNE

    def complete(self, messages: tuple[Message, ...], key: Key) -> Reply:
        """A changed policy; ``ModelError`` when there is none to change."""
        asked = [message.content for message in messages if message.role == "user"]
        blocks = BLOCK.findall(asked[-1]) if asked else []
        sources = [source for _, source in blocks]
        if not sources:
            raise ModelError("offline: the question holds no ```python block")
        draws = rng.stream(self._seed, "offline", *key)
        try:
            made = vary(sources, self._operators, self._vocabulary, draws)
        except ValueError as error:
            raise ModelError(f"offline: {error}") from error
        longest = max(map(len, re.findall(r"`+", made.source)), default=0)
        fence = "`" * max(3, longest + 1)
        idea = f"{made.operator}: {made.note}"
        return Reply(f"{idea}\n\n{fence}python\n{made.source}{fence}\n")
