"""Reasoning models: short questions and answers of thousands of tokens."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.scenario import Half, Split
from evaluators.workloads.annotations import PREDICTION_ERROR, zipf_shares
from evaluators.workloads.arrivals import Gamma
from evaluators.workloads.generated import Contents, Generated, check_sizes
from evaluators.workloads.lengths import REASONING


def build(
    least_output_tokens: int = 2048,
    most_output_tokens: int = 16384,
    cv: float = 2.28,
    tenants: int = 6,
    prediction_error: float = PREDICTION_ERROR,
) -> Generated:
    """Outputs evenly spread in their logarithm between least and most.

    Prompts are those of ServeGen's deepseek-r1. ``cv`` is the coefficient of variation
    of the gaps (1: Poisson). Raises ``ValueError`` for a value that cannot be.
    """
    check_sizes(least_output_tokens=least_output_tokens)
    if most_output_tokens < least_output_tokens:
        raise ValueError(
            f"most_output_tokens is {most_output_tokens}; expected at least "
            f"least_output_tokens, {least_output_tokens}"
        )
    zipf_shares(tenants)
    source = Reasoning(least_output_tokens, most_output_tokens)
    return Generated("reasoning", tenants, prediction_error, Gamma(cv), source)


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Measured prompts, and outputs of a log-uniform length."""

    least_output_tokens: int
    most_output_tokens: int

    def __call__(
        self,
        part: Split | Half,
        moments: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> Contents:
        """Independent prompts and outputs."""
        n = len(moments)
        ends = np.log([self.least_output_tokens, self.most_output_tokens])
        outputs = np.rint(np.exp(rng.uniform(ends[0], ends[1], n))).astype(np.int64)
        return Contents(REASONING.prompt.draw(rng.random(n)), outputs)
