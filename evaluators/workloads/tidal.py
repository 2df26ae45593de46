"""Two kinds of requests whose shares ebb and flow against each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.scenario import Half, Split
from evaluators.workloads.annotations import PREDICTION_ERROR, zipf_shares
from evaluators.workloads.arrivals import Gamma
from evaluators.workloads.generated import Contents, Generated, check_shares
from evaluators.workloads.lengths import (
    CODE,
    CONVERSATION,
    DOCUMENT,
    REASONING,
    Component,
)

COMPONENTS = {kind.name: kind for kind in (CONVERSATION, CODE, DOCUMENT, REASONING)}


def build(
    high: str = "code",
    low: str = "reasoning",
    swing: float = 0.8,
    tides: float = 2.0,
    tenants: int = 6,
    prediction_error: float = PREDICTION_ERROR,
) -> Generated:
    """Requests of kind ``high`` at high tide, of kind ``low`` at low tide, else mixed.

    The share of ``high`` is a cosine between (1 + swing) / 2 and (1 - swing) / 2, with
    so many ``tides`` in a draw; arrivals are Poisson. Kinds are conversation, code,
    document and reasoning. Raises ``ValueError`` for a value that cannot be.
    """
    check_shares(swing=swing)
    if not 0 < tides < float("inf"):
        raise ValueError(f"tides is {tides}; expected above 0")
    for name in (high, low):
        if name not in COMPONENTS:
            known = ", ".join(COMPONENTS)
            raise ValueError(f"no kind of requests {name!r}; there are {known}")
    zipf_shares(tenants)
    source = Tidal(COMPONENTS[high], COMPONENTS[low], swing, tides)
    return Generated(f"tidal-{high}-{low}", tenants, prediction_error, Gamma(1), source)


@dataclass(frozen=True, slots=True)
class Tidal:
    """A mixture whose shares follow the time."""

    high: Component
    low: Component
    swing: float
    tides: float

    def __call__(
        self,
        part: Split | Half,
        moments: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> Contents:
        """Lengths of the kind that is in at that moment."""
        uniforms = rng.random((3, len(moments)))
        is_high = uniforms[0] < self.share(moments)
        prompts, outputs = (
            np.where(is_high, high.draw(row), low.draw(row))
            for high, low, row in (
                (self.high.prompt, self.low.prompt, uniforms[1]),
                (self.high.output, self.low.output, uniforms[2]),
            )
        )
        return Contents(prompts, outputs)

    def share(self, moments: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of a request of kind ``high``, same shape."""
        wave = np.cos(2 * np.pi * self.tides * moments)
        return np.asarray(0.5 + 0.5 * self.swing * wave)
