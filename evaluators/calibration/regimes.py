"""Regimes: the kinds of steps of which a calibration's error is told apart."""

from collections.abc import Callable

import numpy as np

from evaluators.calibration.curves import Floats
from evaluators.calibration.fit import Limits, Sums
from evaluators.calibration.samples import Samples, steps

KV_SHARE = 0.8
"""Contexts are drawn so that a batch reads at most this share of all KV blocks."""

SEED = 20260101
N_STEPS = 400


def regimes(sums: Sums, limits: Limits) -> dict[str, Samples]:
    """Steps of every regime with their kernel sums, drawn from one seed.

    Batches and lengths are log-uniform and not the fit's own. Contexts reach half of
    the longest that is fitted, chunks half of the largest step.
    """
    rng = np.random.default_rng(SEED)
    return {name: _summed(sums, *draw(rng, limits)) for name, draw in _DRAWS.items()}


Drawn = tuple[Floats, Floats, Floats, Floats, Floats]


def _summed(sums: Sums, *drawn: Floats) -> Samples:
    prefills, length, prefix, decodes, context = drawn
    aggregates = steps(prefills, length, prefix, decodes, context)
    tokens = prefills * length + decodes
    seconds = sums.tokens_s(tokens) + sums.head_s(np.maximum(1.0, decodes))
    some, chunks = decodes > 0, prefills > 0
    seconds[some] += sums.decode_s(decodes[some], context[some])
    seconds[chunks] += sums.prefill_s(prefills[chunks], length[chunks], prefix[chunks])
    seconds[chunks & some] -= sums.start_s()
    return Samples(**aggregates, seconds=seconds)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> Floats:
    drawn = np.exp(rng.uniform(np.log(low), np.log(high + 1), N_STEPS))
    return np.asarray(np.floor(drawn))


def _decode(low: int, high: int) -> Callable[[np.random.Generator, Limits], Drawn]:
    def draw(rng: np.random.Generator, limits: Limits) -> Drawn:
        batch = _log_uniform(rng, low, high)
        none = np.zeros(N_STEPS)
        most = np.clip(
            np.floor(KV_SHARE * limits.kv_tokens / batch), 64, limits.context // 2
        )
        context = np.floor(np.exp(rng.uniform(np.log(32), np.log(most))))
        return none, none, none, batch, context

    return draw


def _prompts(rng: np.random.Generator, limits: Limits) -> Drawn:
    length = _log_uniform(rng, 16, limits.step_tokens // 2)
    prompts = np.floor(rng.uniform(0, 1, N_STEPS) * limits.step_tokens / length / 4)
    none = np.zeros(N_STEPS)
    return np.clip(prompts, 1, 8), length, none, none, none


def _chunks(rng: np.random.Generator, limits: Limits) -> Drawn:
    length = _log_uniform(rng, 128, limits.step_tokens // 2)
    prefix = _log_uniform(rng, 256, min(limits.context, limits.kv_tokens) // 2)
    none = np.zeros(N_STEPS)
    return np.ones(N_STEPS), length, prefix, none, none


def _mixed(rng: np.random.Generator, limits: Limits) -> Drawn:
    _, _, _, batch, context = _decode(1, 256)(rng, limits)
    length = _log_uniform(rng, 32, limits.step_tokens // 8)
    return np.ones(N_STEPS), length, np.zeros(N_STEPS), batch, context


_DRAWS: dict[str, Callable[[np.random.Generator, Limits], Drawn]] = {
    "decode, batch 1-8": _decode(1, 8),
    "decode, batch 9-64": _decode(9, 64),
    "decode, batch 65-512": _decode(65, 512),
    "prefill, whole prompts": _prompts,
    "prefill, chunks after a prefix": _chunks,
    "prefill with decodes": _mixed,
}
