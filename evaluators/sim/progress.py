"""Ends simulations that a policy keeps from getting anywhere."""

from evaluators.evaluation import PolicyError
from evaluators.scenario import Scenario

BARREN_STEPS = 20_000
"""Steps in a row without a new token: a 10-million-token prompt at 512 a step."""
LEAST_CHUNK = 64
"""Prompt tokens a step, on average, below which a policy counts as stuck."""
SPARE_STALLS = 1_000
"""Stalls that any policy may have, however little there is to do."""


class Progress:
    """Counts steps, and steps since the last token, against what a scenario can need.

    A strictly serial engine needs one step a token and one a chunk; four times that is
    allowed, so that recomputation has room. Where a policy orders, sizes or plans
    steps (``is_led``), steps without a token and preemptions are stalls, of which there
    are to be no more than chunks of all prompts, and a thousand: that ends a livelock
    as soon as it has cost what honest service of the scenario does. Shipped seeds had
    a fiftieth of that at most (``tests/sim/test_progress.py``).
    """

    __slots__ = ("_barren", "_left", "_stalls", "_stalls_left")

    def __init__(self, scenario: Scenario, is_led: bool) -> None:
        self._left, self._barren = most_steps(scenario), 0
        self._stalls = most_stalls(scenario)
        self._stalls_left: float = self._stalls if is_led else float("inf")

    def spend(self, steps: int, tokens: int) -> None:
        """Note ``steps`` steps that emitted ``tokens``; raises ``PolicyError``."""
        self._left -= steps
        if tokens:
            self._barren = 0
        else:
            self._barren += steps
            self.stall(steps)
        if self._barren > BARREN_STEPS:
            raise PolicyError("no_progress", f"{BARREN_STEPS} steps without a token")
        if self._left < 0:
            raise PolicyError("no_progress", "four times the steps of a serial run")

    def stall(self, times: int = 1) -> None:
        """Note preemptions, or steps without a token; raises ``PolicyError``."""
        self._stalls_left -= times
        if self._stalls_left < 0:
            raise PolicyError(
                "no_progress",
                f"more than {self._stalls} preemptions and steps without a token",
            )


def most_steps(scenario: Scenario) -> int:
    """Steps after which a policy counts as stuck."""
    outputs = int(scenario.trace.output_tokens.sum())
    return 4 * (outputs + _chunks(scenario, LEAST_CHUNK)) + 10_000


def most_stalls(scenario: Scenario) -> int:
    """Preemptions and steps without a token after which a policy counts as stuck."""
    chunk = min(LEAST_CHUNK, scenario.deployment.max_step_tokens)
    return _chunks(scenario, chunk) + SPARE_STALLS


def _chunks(scenario: Scenario, tokens: int) -> int:
    """Steps that all prompts take, one at a time and so many tokens a step."""
    return int((scenario.trace.prompt_tokens // tokens + 1).sum())
