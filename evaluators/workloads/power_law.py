"""Power-law lengths, as Llumnix is judged with: most requests short, a few huge."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.scenario import Half, Split
from evaluators.workloads.annotations import PREDICTION_ERROR, zipf_shares
from evaluators.workloads.arrivals import Gamma
from evaluators.workloads.generated import Contents, Generated, check_sizes

SCALE_TOKENS = 16
LEAST_PROMPT_TOKENS, LEAST_OUTPUT_TOKENS = 16, 8


def build(
    exponent: float = 1.1,
    most_prompt_tokens: int = 6000,
    most_output_tokens: int = 2000,
    cv: float = 1.0,
    tenants: int = 1,
    prediction_error: float = PREDICTION_ERROR,
) -> Generated:
    """Prompts and outputs of 16 times a Pareto variable of that exponent, cut.

    ``cv`` is the coefficient of variation of the gaps (1: Poisson). Raises
    ``ValueError`` for a value that cannot be.
    """
    check_sizes(
        most_prompt_tokens=most_prompt_tokens, most_output_tokens=most_output_tokens
    )
    if not 0 < exponent < float("inf"):
        raise ValueError(f"exponent is {exponent}; expected above 0")
    zipf_shares(tenants)
    source = PowerLaw(exponent, most_prompt_tokens, most_output_tokens)
    return Generated("power_law", tenants, prediction_error, Gamma(cv), source)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """Lengths whose survival function falls with the ``exponent``."""

    exponent: float
    most_prompt_tokens: int
    most_output_tokens: int

    def __call__(
        self,
        part: Split | Half,
        moments: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> Contents:
        """Independent prompts and outputs; shorter than the least is the least."""
        drawn = np.rint(SCALE_TOKENS * rng.pareto(self.exponent, (2, len(moments))))
        prompts = np.clip(drawn[0], LEAST_PROMPT_TOKENS, self.most_prompt_tokens)
        outputs = np.clip(drawn[1], LEAST_OUTPUT_TOKENS, self.most_output_tokens)
        return Contents(prompts.astype(np.int64), outputs.astype(np.int64))
