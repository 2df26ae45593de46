"""Open-loop generators: arrivals of one process, contents of one kind."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.rng import stream
from evaluators.scenario import Half, Split, split_of
from evaluators.workloads.annotations import (
    paced_ps,
    predicted,
    prompt_classes,
    zipf_shares,
)
from evaluators.workloads.arrivals import Arrivals
from evaluators.workloads.prefixes import Prefixes
from evaluators.workloads.trace import Ints, Trace
from evaluators.workloads.workload import check_draw

WHOLE_REQUESTS = 20_000
WHOLE_RATE_PER_S = 5.53
"""Rate of the Azure 2023 conversation trace, at which ``whole`` draws."""


class Contents(NamedTuple):
    """Requests but for their times, columns of shape (n,).

    Where no class is given, it is drawn by the length of the prompt.
    """

    prompt_tokens: Ints
    output_tokens: Ints
    prefixes: Prefixes | None = None
    slo_class: Ints | None = None


Source = Callable[[Split | Half, NDArray[np.float64], np.random.Generator], Contents]
"""Contents for a part and the moments of the arrivals, as shares of the whole span."""


@dataclass(frozen=True, slots=True)
class Generated:
    """Requests whose contents do not depend on who sends them.

    Tenants are drawn with Zipf's shares. What is drawn hangs on ``drawn_as``, where
    that is not the name.
    """

    name: str
    n_tenants: int
    prediction_error: float
    arrivals: Arrivals
    source: Source
    drawn_as: str | None = None

    def draw(
        self, part: Split | Half, seed: int, rate_per_s: float, n_requests: int
    ) -> Trace:
        """See ``Workload``."""
        check_draw(rate_per_s, n_requests)
        random = {
            purpose: stream(seed, self.drawn_as or self.name, split_of(part), purpose)
            for purpose in ("arrivals", "contents", "tenant", "class", "prediction")
        }
        arrived = self.arrivals.draw(n_requests, random["arrivals"])
        contents = self.source(part, _moments(arrived), random["contents"])
        shares = zipf_shares(self.n_tenants)
        classes = contents.slo_class
        if classes is None:
            classes = prompt_classes(contents.prompt_tokens, random["class"])
        return Trace(
            arrived_ps=paced_ps(arrived, rate_per_s),
            prompt_tokens=contents.prompt_tokens,
            output_tokens=contents.output_tokens,
            predicted_tokens=predicted(
                contents.output_tokens, self.prediction_error, random["prediction"]
            ),
            tenant=random["tenant"].choice(self.n_tenants, n_requests, p=shares),
            slo_class=classes,
            prefixes=contents.prefixes,
        )

    def whole(self, seed: int) -> Trace:
        """20,000 requests of the train split."""
        return self.draw("train", seed, WHOLE_RATE_PER_S, WHOLE_REQUESTS)


def check_shares(**shares: float) -> None:
    """Raise ``ValueError`` naming the first that is not from 0 to 1."""
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is {share}; expected 0 to 1")


def check_sizes(**sizes: float) -> None:
    """Raise ``ValueError`` naming the first that is below 1 or not finite."""
    for name, size in sizes.items():
        if not 1 <= size < float("inf"):
            raise ValueError(f"{name} is {size}; expected at least 1")


def _moments(arrived: NDArray[np.float64]) -> NDArray[np.float64]:
    since = arrived - arrived[0]
    return np.asarray(since / since[-1]) if since[-1] > 0 else since
