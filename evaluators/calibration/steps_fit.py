"""Fits a step time to measured whole steps, where no single kernel was measured."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluators.calibration.curves import Floats
from evaluators.calibration.fit import increasing, least_squares, six_digits
from evaluators.calibration.samples import PS_PER_S, Samples

TOKEN_KNOTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
CONTEXT_KNOTS = (0, 512, 4096)
"""Mean contexts between which a KV token has one price, where steps reach them."""


def fit_samples(samples: Samples) -> dict[str, Any]:
    """Step-time knots of the steps, in integer picoseconds of 6 significant digits.

    One least squares of the relative error with no price below zero: tokens of a step
    as rising lines between knots, decoding requests, KV tokens by mean context, and a
    prefill's chunks, tokens, work, tokens read, and the longest context of decodes.
    """
    tokens = samples.prefill_tokens + samples.decodes
    edges = [knot for knot in TOKEN_KNOTS if knot <= tokens.max()]
    contexts = _contexts(samples)
    by_tokens = [np.ones(len(samples)), *_between(tokens, [*edges, np.inf])]
    prices = [
        samples.decodes,
        *_between(_mean(samples), [*contexts, np.inf], samples.decodes),
        samples.prefill_tokens,
        samples.prefill_work,
        samples.prefills,
        samples.prefill_context,
        samples.longest_context,
    ]
    target = samples.seconds * PS_PER_S
    found = least_squares(np.stack([*by_tokens, *prices], 1), target, target)
    start, slopes = found[0], found[1 : 1 + len(edges)]
    decode, *rest = found[1 + len(edges) :].tolist()
    at_contexts, prefill = rest[: len(contexts)], rest[len(contexts) :]
    names = ("prefill_token_ps", "prefill_work_ps", "prefill_ps", "prefill_context_ps")
    return {
        "tokens_ps": _rising(edges, float(start), slopes),
        "decodes_ps": [[0, 0], [1, six_digits(decode)], [2, six_digits(2 * decode)]],
        "context_knots": contexts,
        "context_ps": [[[0, six_digits(price)]] for price in at_contexts],
        **{
            name: six_digits(price) for name, price in zip(names, prefill, strict=False)
        },
        "longest_context_ps": six_digits(prefill[-1]),
    }


def _rising(edges: list[int], start: float, slopes: Floats) -> list[list[int]]:
    """Knots of the tokens' table; the last line goes on beyond the last edge."""
    steps = np.diff(np.array([*edges, edges[-1] + 1], float))
    values = increasing(start + np.concatenate([[0.0], np.cumsum(slopes * steps)]))
    sizes = [*edges, edges[-1] + 1]
    pairs = zip(sizes, values.tolist(), strict=True)
    return [[0, 0], *([size, six_digits(value)] for size, value in pairs)]


def _contexts(samples: Samples) -> list[int]:
    longest = float(_mean(samples).max())
    return [knot for knot in CONTEXT_KNOTS if knot < longest or knot == 0]


def _mean(samples: Samples) -> Floats:
    return np.asarray(samples.context_tokens / np.maximum(1.0, samples.decodes))


def _between(
    sizes: Floats, edges: list[float], times: NDArray[np.float64] | float = 1.0
) -> list[Floats]:
    """How much of each size lies between an edge and the next, so many times."""
    return [times * (np.clip(sizes, low, high) - low) for low, high in pairwise(edges)]
