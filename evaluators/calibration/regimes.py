"""Regimes: the kinds of steps of which a calibration's error is told apart."""

from collections.abc import Callable

import numpy as np

from evaluators.calibration.compose import KernelSums
from evaluators.calibration.curves import Floats
from evaluators.calibration.samples import Samples, steps

KV_SHARE = 0.8
"""Contexts are drawn so that a batch reads at most this share of all KV blocks."""

SEED = 20260101
N_STEPS = 400
LONGEST = 32768
CHUNK = 8192


def regimes(sums: KernelSums, kv_tokens: int) -> dict[str, Samples]:
    """Steps of every regime with their kernel sums, drawn from one seed.

    Batches and lengths are log-uniform and not the fit's own; ``kv_tokens`` bounds the
    tokens that a batch reads.
    """
    rng = np.random.default_rng(SEED)
    return {name: _summed(sums, *draw(rng, kv_tokens)) for name, draw in _DRAWS.items()}


Drawn = tuple[Floats, Floats, Floats, Floats, Floats]


def _summed(sums: KernelSums, *drawn: Floats) -> Samples:
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


def _decode(low: int, high: int) -> Callable[[np.random.Generator, int], Drawn]:
    def draw(rng: np.random.Generator, kv_tokens: int) -> Drawn:
        batch = _log_uniform(rng, low, high)
        none = np.zeros(N_STEPS)
        most = np.clip(np.floor(KV_SHARE * kv_tokens / batch), 64, LONGEST)
        context = np.floor(np.exp(rng.uniform(np.log(32), np.log(most))))
        return none, none, none, batch, context

    return draw


def _prompts(rng: np.random.Generator, kv_tokens: int) -> Drawn:
    del kv_tokens
    length = _log_uniform(rng, 16, CHUNK)
    prompts = np.floor(np.maximum(1, rng.uniform(0, 1, N_STEPS) * CHUNK / length / 2))
    none = np.zeros(N_STEPS)
    return np.minimum(prompts, 8), length, none, none, none


def _chunks(rng: np.random.Generator, kv_tokens: int) -> Drawn:
    length = _log_uniform(rng, 128, CHUNK)
    prefix = _log_uniform(rng, 256, min(LONGEST, kv_tokens // 2))
    none = np.zeros(N_STEPS)
    return np.ones(N_STEPS), length, prefix, none, none


def _mixed(rng: np.random.Generator, kv_tokens: int) -> Drawn:
    _, _, _, batch, context = _decode(1, 256)(rng, kv_tokens)
    length = _log_uniform(rng, 32, 2048)
    return np.ones(N_STEPS), length, np.zeros(N_STEPS), batch, context


_DRAWS: dict[str, Callable[[np.random.Generator, int], Drawn]] = {
    "decode, batch 1-8": _decode(1, 8),
    "decode, batch 9-64": _decode(9, 64),
    "decode, batch 65-512": _decode(65, 512),
    "prefill, whole prompts": _prompts,
    "prefill, chunks after a prefix": _chunks,
    "prefill with decodes": _mixed,
}
