"""Ends simulations that a policy keeps from getting anywhere."""

from evaluators.evaluation import PolicyError
from evaluators.scenario import Scenario

BARREN_STEPS = 20_000
"""Steps in a row without a new token: a 10-million-token prompt at 512 a step."""
LEAST_CHUNK = 64
"""Prompt tokens a step, on average, below which a policy counts as stuck."""


class Progress:
    """Counts steps, and steps since the last token, against what a scenario can need.

    A strictly serial engine needs one step a token and one a chunk; four times that is
    allowed, so that recomputation has room.
    """

    __slots__ = ("_barren", "_left")

    def __init__(self, scenario: Scenario) -> None:
        self._left, self._barren = most_steps(scenario), 0

    def spend(self, steps: int, tokens: int) -> None:
        """Note ``steps`` steps that emitted ``tokens``; raises ``PolicyError``."""
        self._left -= steps
        self._barren = 0 if tokens else self._barren + steps
        if self._barren > BARREN_STEPS:
            raise PolicyError("no_progress", f"{BARREN_STEPS} steps without a token")
        if self._left < 0:
            raise PolicyError("no_progress", "four times the steps of a serial run")


def most_steps(scenario: Scenario) -> int:
    """Steps after which a policy counts as stuck."""
    trace = scenario.trace
    chunks = int((trace.prompt_tokens // LEAST_CHUNK + 1).sum())
    return 4 * (int(trace.output_tokens.sum()) + chunks) + 10_000
