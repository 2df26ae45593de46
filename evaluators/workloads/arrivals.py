"""Arrival processes of mean rate 1: Poisson, Gamma, on/off bursts, at once."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]


class Arrivals(Protocol):
    """Times of ``n`` arrivals from a start at 0, sorted, about one per unit of time."""

    def draw(self, n: int, rng: np.random.Generator) -> Times:
        """Times, shape (n,)."""
        ...


@dataclass(frozen=True, slots=True)
class Gamma:
    """Independent gaps of coefficient of variation ``cv``; 1 is a Poisson process.

    Raises ``ValueError`` unless ``cv`` is above 0.
    """

    cv: float

    def __post_init__(self) -> None:
        """Check it."""
        if not 0 < self.cv < float("inf"):
            raise ValueError(f"cv of gaps is {self.cv}; expected above 0")

    def draw(self, n: int, rng: np.random.Generator) -> Times:
        """Times, shape (n,)."""
        shape = self.cv**-2
        return np.cumsum(rng.gamma(shape, 1 / shape, n))


@dataclass(frozen=True, slots=True)
class AtOnce:
    """All at the start."""

    def draw(self, n: int, rng: np.random.Generator) -> Times:
        """Zeros, shape (n,)."""
        return np.zeros(n)


POISSON = Gamma(cv=1.0)


@dataclass(frozen=True, slots=True)
class OnOff:
    """A Poisson process that is on for a ``duty`` share of time and else silent.

    A burst holds ``burst`` arrivals in the mean; lengths of bursts and of silences are
    exponential. Raises ``ValueError`` for a burst or a share that cannot be.
    """

    burst: float
    duty: float

    def __post_init__(self) -> None:
        """Check both."""
        if not (self.burst > 0 and 0 < self.duty <= 1):
            raise ValueError(
                f"bursts of {self.burst} requests, {self.duty} of the time; expected "
                "above 0, and a share above 0 and up to 1"
            )

    def draw(self, n: int, rng: np.random.Generator) -> Times:
        """Times, shape (n,)."""
        off = self.burst * (1 / self.duty - 1)
        busy = np.cumsum(rng.exponential(1.0, n))
        n_bursts = int(busy[-1] / self.burst * 2) + 16
        burst_ends = np.cumsum(rng.exponential(self.burst, n_bursts))
        silences = rng.exponential(off, n_bursts + 1)
        silences[0] *= rng.random() > self.duty
        bursts_before = np.searchsorted(burst_ends, busy)
        return np.asarray((busy + np.cumsum(silences)[bursts_before]) * self.duty)
