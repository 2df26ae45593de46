"""Which term of the step time an error comes from."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from evaluators.serving_runs.comparison import Point
from evaluators.serving_runs.terms import TERMS

STIFFNESS = 0.002
"""Pull of each term's scale towards 1, against one point: where points cannot tell two
terms apart, neither is blamed alone."""


class Blame(NamedTuple):
    """By term: what its time would have to be multiplied with, and its mean share.

    ``fault`` is the term whose correction moves the time of a token most; ``before``
    and ``after`` are mean absolute errors of that time, as it is and if all terms were
    scaled so. Nothing is scaled: this only says where to look.
    """

    scales: Mapping[str, float]
    shares: Mapping[str, float]
    fault: str
    before: float
    after: float


def blamed(points: Iterable[Point], metric: str) -> Blame | None:
    """Least squares of the measured time of a token on the terms it is made of.

    None of no point. ``metric`` is a statistic of tpot.
    """
    held = [point for point in points if point.error(metric) is not None]
    if not held:
        return None
    parts = np.array([[point.shares[term] for term in TERMS] for point in held])
    wanted = np.array([1 / (1 + float(point.error(metric) or 0.0)) for point in held])
    pull = np.sqrt(STIFFNESS * len(held)) * np.eye(len(TERMS))
    left = np.vstack((parts, pull))
    right = np.concatenate((wanted - parts.sum(axis=1), np.zeros(len(TERMS))))
    change = np.linalg.lstsq(left, right, rcond=None)[0]
    mean = parts.mean(axis=0)
    worst = int(np.argmax(np.abs(change) * mean))
    after = parts @ (1 + change)
    return Blame(
        scales=dict(zip(TERMS, (1 + change).tolist(), strict=True)),
        shares=dict(zip(TERMS, mean.tolist(), strict=True)),
        fault=TERMS[worst],
        before=float(np.mean(np.abs(parts.sum(1) / wanted - 1))),
        after=float(np.mean(np.abs(after / wanted - 1))),
    )
