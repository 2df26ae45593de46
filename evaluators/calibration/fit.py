"""Fits a step time to a model's kernel sums: tables by count, prices of a token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from evaluators.calibration.curves import Floats
from evaluators.calibration.samples import PS_PER_S

MAX_BATCH = 1024
CONTEXT_KNOTS = (0, 1024, 8192)

BATCHES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
CONTEXTS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 16384)
PREFIXES = (0, 512, 2048, 8192, 32768, 65536)
PROMPTS = (1, 2, 4, 8)
"""Of the fit; the errors are told on others."""

GEMM_EDGE = 256
"""Tiles of a matrix product begin anew after so many rows: knots lie on both sides."""


class Sums(Protocol):
    """What a step takes by its parts, in seconds, one entry a step: see KernelSums."""

    @property
    def graphs(self) -> tuple[int, ...]:
        """Sizes that a step of few tokens is padded to."""
        ...

    def tokens_s(self, tokens: Floats) -> Floats:
        """All that depends on the tokens of the step only."""
        ...

    def head_s(self, rows: Floats) -> Floats:
        """What depends on the rows of logits."""
        ...

    def decode_s(self, batch: Floats, context: Floats) -> Floats:
        """Attention of decodes of equal contexts."""
        ...

    def prefill_s(self, prefills: Floats, length: Floats, prefix: Floats) -> Floats:
        """Attention of equal chunks after equal prefixes."""
        ...

    def start_s(self) -> float:
        """The least that prefill attention takes, shared with decodes of the step."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What the fit may count on: KV tokens that fit, and the least a token costs.

    ``kv_token_ps`` is the time that reading a token's keys and values takes at the
    GPU's peak bandwidth: small reads that stay in a cache must not undercut it.
    ``step_tokens`` and ``context`` are the largest step and context that are fitted.
    """

    kv_tokens: int
    kv_token_ps: float
    step_tokens: int = 16384
    context: int = 65536


def fit(sums: Sums, limits: Limits) -> dict[str, Any]:
    """Step-time knots of the sums, in integer picoseconds of 6 significant digits.

    Everything but attention becomes an increasing table by tokens, with a stair for
    each CUDA graph. Decode attention is, for each batch, a constant and a price a
    context token between two mean contexts; prefill attention has prices a chunk, a
    token, a unit of work and a KV token read, its start a constant where none
    decodes. Both are least squares of the error
    relative to the whole step, the contexts weighed alike; no price is negative.
    """
    tokens, layers = _by_tokens(sums, limits)
    batches = np.array([b for b in BATCHES if b <= MAX_BATCH], float)
    constants, prices = _decode(sums, batches, limits)
    head = sums.head_s(batches) * PS_PER_S
    decodes = np.concatenate([[0.0], increasing(head + constants)])
    chunk, token, work, read = _prefill(sums, limits)
    decodes[0] = min(decodes[1], head[0] + sums.start_s() * PS_PER_S)
    return {
        "tokens_ps": [[0, 0], *knots(tokens, layers)],
        "decodes_ps": knots(np.concatenate([[0.0], batches]), decodes),
        "context_knots": list(CONTEXT_KNOTS),
        "context_ps": [
            [[0, six_digits(by_batch[0])], *knots(batches, by_batch)]
            for by_batch in prices.T
        ],
        "prefill_token_ps": six_digits(token),
        "prefill_work_ps": six_digits(work),
        "prefill_ps": six_digits(chunk),
        "prefill_context_ps": six_digits(read),
        "longest_context_ps": 0,
    }


def _by_tokens(sums: Sums, limits: Limits) -> tuple[Floats, Floats]:
    """Sizes and picoseconds of all that depends on the tokens of a step."""
    graphs = [float(size) for size in sums.graphs]
    last = graphs[-1] if graphs else 0.0
    stairs = [0.0, *graphs]
    begins = [low + 1 for low, high in zip(stairs, graphs, strict=False) if high > low]
    edges = np.arange(GEMM_EDGE, limits.step_tokens + 1, GEMM_EDGE, dtype=float)
    own = [1.0, 2, 4, 8, 16, 32, 64, 128] if not graphs else []
    sizes = np.array([*own, *graphs, *begins, *edges, *(edges[:-1] + 1)])
    sizes = np.unique(sizes[(sizes > last) | np.isin(sizes, [*graphs, *begins])])
    return sizes, increasing(sums.tokens_s(sizes) * PS_PER_S)


def _decode(sums: Sums, batches: Floats, limits: Limits) -> tuple[Floats, Floats]:
    """Constants by batch, and prices (batch, knot) of a context token, picoseconds."""
    constants, prices = [], []
    least = np.array([0.0, *(limits.kv_token_ps for _ in CONTEXT_KNOTS)])
    for batch in batches.tolist():
        most = min(limits.context, max(1024, 2 * limits.kv_tokens / batch))
        context = np.array([c for c in CONTEXTS if c <= most], float)
        b = np.full(len(context), batch)
        seconds = sums.decode_s(b, context)
        step = seconds + sums.tokens_s(b) + sums.head_s(b)
        columns = np.stack(
            [np.ones(len(b)), *(b * part for part in _parts(context))], 1
        )
        target = seconds * PS_PER_S - columns @ least
        found = least + least_squares(columns, target, step * PS_PER_S)
        constants.append(found[0])
        prices.append(found[1:])
    return np.array(constants), np.array(prices)


def _parts(context: Floats) -> list[Floats]:
    """How much of each context lies between a knot and the next."""
    ends = [*CONTEXT_KNOTS[1:], np.inf]
    return [
        np.clip(context, start, end) - start
        for start, end in zip(CONTEXT_KNOTS, ends, strict=True)
    ]


def _prefill(sums: Sums, limits: Limits) -> tuple[float, float, float, float]:
    """Prices of a chunk, a token, a unit of work and a KV token read, picoseconds."""
    shapes = [
        (prompts, length, prefix)
        for length in LENGTHS
        for prefix in PREFIXES
        for prompts in PROMPTS
        if prompts * length <= limits.step_tokens and prefix <= limits.context
        if prompts == 1 or prefix == 0
    ]
    prompts, length, prefix = np.array(shapes, float).T
    seconds = sums.prefill_s(prompts, length, prefix) - sums.start_s()
    tokens = prompts * length
    step = seconds + sums.tokens_s(tokens) + sums.head_s(np.ones(len(tokens)))
    columns = np.stack(
        [prompts, tokens, tokens * (length + 2 * prefix), prompts * (length + prefix)],
        1,
    )
    found = least_squares(columns, seconds * PS_PER_S, step * PS_PER_S)
    chunk, token, work, read = found.tolist()
    return chunk, token, work, read


def least_squares(columns: Floats, values: Floats, scale: Floats) -> Floats:
    """Coefficients >= 0 with a small sum of ((columns @ x - values) / scale)^2.

    Least squares of all columns; those that come out negative are dropped until none
    does. That is the least sum where none is; else it can be off it, as what was
    dropped never comes back (Lawson and Hanson, 1974, let it).
    """
    design, target = columns / scale[:, None], values / scale
    used = np.ones(design.shape[1], dtype=bool)
    found = np.zeros(design.shape[1])
    while used.any():
        found[:] = 0.0
        found[used] = np.linalg.lstsq(design[:, used], target, rcond=None)[0]
        if (found >= 0).all():
            break
        used &= found >= 0
    return np.maximum(found, 0.0)


def increasing(values: Floats) -> Floats:
    """Nearest non-decreasing sequence (least squares, pool adjacent violators)."""
    means: list[float] = []
    counts: list[int] = []
    for value in values.tolist():
        means.append(value)
        counts.append(1)
        while len(means) > 1 and means[-2] > means[-1]:
            mean, count = means.pop(), counts.pop()
            means[-1] = (means[-1] * counts[-1] + mean * count) / (counts[-1] + count)
            counts[-1] += count
    return np.repeat(means, counts)


def knots(sizes: Floats, values_ps: Floats) -> list[list[int]]:
    """Knots [size, picoseconds] of a table, picoseconds to 6 significant digits.

    Inside a flat stretch no knots are needed.
    """
    pairs = zip(sizes.tolist(), values_ps.tolist(), strict=True)
    made = [[int(size), six_digits(value)] for size, value in pairs]
    flat = [made[i - 1][1] == made[i + 1][1] for i in range(1, len(made) - 1)]
    return [
        k for k, inside in zip(made, [False, *flat, False], strict=True) if not inside
    ]


def six_digits(value: float) -> int:
    """Nearest integer that has at most 6 significant digits."""
    return int(float(f"{value:.5e}") + 0.5)


def rounded(values: Sequence[float], digits: int = 3) -> list[float]:
    """Values to so many significant digits."""
    return [float(f"{value:.{digits - 1}e}") for value in values]
