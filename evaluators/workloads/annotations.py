"""What recordings lack and generators add: tenants, classes and predicted lengths."""

import numpy as np
from numpy.typing import NDArray

from evaluators.workloads.trace import PS_PER_S, Ints

ZIPF_EXPONENT = 1.1
"""Skew of tenants' request rates: ServeGen's client rates fall with slopes of -1.03 to
-1.20 (m-large, m-mid, deepseek-r1; arXiv 2505.09999, first 30 clients)."""

PREDICTION_ERROR = 0.5
"""Default error of the length predictor, as a standard deviation of log(predicted /
true). Assumed: about two thirds of predictions within a factor of 1.65."""

INTERACTIVE, RELAXED = 0, 1

INTERACTIVE_PROMPT_TOKENS = 8192
INTERACTIVE_SHARES = (0.7, 0.1)
"""Synthetic: share of interactive requests among prompts up to, and above, 8,192
tokens (a longer prompt can hardly meet an interactive TTFT on one GPU)."""


def zipf_shares(n_tenants: int) -> NDArray[np.float64]:
    """Share of requests of each tenant, largest first, shape (n_tenants,).

    Raises ``ValueError`` for less than one tenant.
    """
    if n_tenants < 1:
        raise ValueError(f"tenants is {n_tenants}; expected at least 1")
    weights = np.arange(1, n_tenants + 1) ** -ZIPF_EXPONENT
    return np.asarray(weights / weights.sum())


def predicted(output_tokens: Ints, error: float, rng: np.random.Generator) -> Ints:
    """Log-normal guesses around the true output lengths, at least 1, median unbiased.

    Raises ``ValueError`` for a negative error.
    """
    if not 0 <= error < 10:
        raise ValueError(f"prediction_error is {error}; expected 0 to 10")
    noise = np.exp(error * rng.standard_normal(len(output_tokens)))
    guesses = np.maximum(1, np.rint(output_tokens * noise))
    return np.asarray(guesses.astype(np.int64))


def prompt_classes(prompt_tokens: Ints, rng: np.random.Generator) -> Ints:
    """Service classes drawn by the length of the prompt, same shape."""
    is_long = (prompt_tokens > INTERACTIVE_PROMPT_TOKENS).astype(np.int64)
    interactive = np.array(INTERACTIVE_SHARES)[is_long]
    is_interactive = rng.random(len(prompt_tokens)) < interactive
    return np.where(is_interactive, INTERACTIVE, RELAXED)


def paced_ps(arrived: NDArray[np.float64], rate_per_s: float) -> Ints:
    """Sorted arrivals of any unit, from 0 to n / rate seconds, in picoseconds.

    The span is scaled to the asked rate exactly, so that a load regime means the same
    load for every seed however bursty the arrivals are.
    """
    since = arrived - arrived[0]
    if since[-1] > 0:
        since = since * (len(since) / rate_per_s / since[-1])
    return np.asarray(np.rint(since * PS_PER_S).astype(np.int64))
