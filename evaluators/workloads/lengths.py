"""Distributions of prompt and output lengths, as quantiles of measured traces."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.workloads.trace import Ints

LEVELS = (
    *(0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    *(0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0),
)
"""Probabilities at which the quantiles below were measured."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Token counts whose logarithm is linear between quantiles at ``LEVELS``.

    ``most`` cuts the tail: longer draws become ``most``.
    """

    quantiles: tuple[int, ...]
    most: int

    def draw(self, uniforms: NDArray[np.float64]) -> Ints:
        """Lengths at these probabilities, same shape, at least 1."""
        logs = np.log(np.array(self.quantiles, dtype=np.float64))
        tokens = np.rint(np.exp(np.interp(uniforms, LEVELS, logs)))
        return np.clip(tokens, 1, self.most).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Component:
    """One kind of request. ``interactive`` is the share that asks for the tight class.

    Prompt and output are drawn independently: their correlation is -0.11 in the Azure
    2023 conversation trace and 0.00 in the code trace.
    """

    name: str
    prompt: Lengths
    output: Lengths
    interactive: float
    source: str


CONVERSATION = Component(
    "conversation",
    Lengths(
        (
            *(2, 29, 181, 207, 387, 403, 703),
            *(1020, 1071, 1130, 1315, 2734, 4083, 4142, 14050),
        ),
        most=14050,
    ),
    Lengths(
        (7, 16, 41, 54, 77, 91, 103, 129, 177, 384, 400, 424, 451, 601, 1000),
        most=1000,
    ),
    interactive=0.8,
    source="Azure LLM inference trace 2023, conversation (Splitwise, ISCA 2024)",
)
CODE = Component(
    "code",
    Lengths(
        (
            *(3, 17, 75, 147, 386, 770, 1075),
            *(1469, 1909, 2433, 3192, 5188, 7303, 7436, 7437),
        ),
        most=7437,
    ),
    # Cut where the mean is the measured one: few outputs are near the longest.
    Lengths((6, 6, 6, 7, 8, 9, 11, 13, 16, 20, 29, 55, 90, 251, 1899), most=512),
    interactive=0.9,
    source="Azure LLM inference trace 2023, code (Splitwise, ISCA 2024)",
)
DOCUMENT = Component(
    "document",
    # Cut (23 % of the recorded prompts are longer) so that prefill alone is well within
    # the relaxed TTFT of an 8B model on a GPU: one document must not decide a scenario.
    Lengths(
        (
            *(891, 894, 901, 964, 1662, 3263, 4993),
            *(6909, 9570, 13196, 17869, 27367, 39550, 85400, 126195),
        ),
        most=16384,
    ),
    Lengths(
        (1, 3, 10, 24, 100, 213, 291, 350, 399, 447, 504, 597, 698, 1119, 2000),
        most=2000,
    ),
    interactive=0.0,
    source="Mooncake conversation trace (FAST 2025)",
)
REASONING = Component(
    "reasoning",
    Lengths(
        (4, 5, 20, 42, 68, 119, 213, 339, 572, 883, 1681, 4426, 9213, 27775, 57284),
        most=16384,
    ),
    # Cut so that one answer cannot outlast the rest of a scenario of some hundred
    # requests; 3 % of the published outputs are longer.
    Lengths(
        (9, 93, 181, 234, 311, 387, 480, 595, 758, 963, 1236, 1815, 3340, 16483, 32768),
        most=4096,
    ),
    interactive=0.3,
    source="ServeGen deepseek-r1 length densities, all windows (arXiv 2505.09999)",
)
