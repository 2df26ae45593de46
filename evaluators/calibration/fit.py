"""Fitting a step time to sums of kernel times, with its error on shapes left out."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Kernels:
    """Measured kernel times in picoseconds, summed over all layers of a model.

    ``layers_ps`` are everything but attention at ``tokens`` tokens a step (ascending);
    ``head_ps`` the output matrix at ``rows`` rows (ascending); ``decode_ps`` decode
    attention of ``batch`` requests of ``context`` KV tokens each; ``prefill_ps``
    attention of ``prompts`` whole prompts of ``length`` tokens each.
    """

    tokens: Floats
    layers_ps: Floats
    rows: Floats
    head_ps: Floats
    batch: Floats
    context: Floats
    decode_ps: Floats
    prompts: Floats
    length: Floats
    prefill_ps: Floats

    def linear_ps(self, tokens: Floats, rows: Floats) -> Floats:
        """Measured time of everything but attention, linear between the sizes."""
        layers = np.interp(tokens, self.tokens, self.layers_ps)
        return layers + np.interp(rows, self.rows, self.head_ps)


@dataclass(frozen=True, slots=True)
class Kept:
    """The part of the kernel tables that a fit may see, as tests of a size."""

    tokens: Callable[[Floats], Bools]
    batch: Callable[[Floats], Bools]
    context: Callable[[Floats], Bools]
    length: Callable[[Floats], Bools]


def everything(sizes: Floats) -> Bools:
    """True for every size."""
    return np.ones(len(sizes), dtype=bool)


def fit(kernels: Kernels, kept: Kept) -> dict[str, Any]:
    """Step-time knots (integer picoseconds, 6 significant digits) of the kept part.

    Everything but attention becomes an increasing table by tokens. Decode attention is
    a constant by batch plus one price per KV token, the same for all batches so that
    a request more never makes a step faster. Prefill attention is a constant, paid
    where nothing decodes, plus prices per token and per unit of work. Both fits are
    least squares of the error relative to the whole step, coefficients not negative.
    """
    tokens = kept.tokens(kernels.tokens)
    sizes, layers = kernels.tokens[tokens], increasing(kernels.layers_ps[tokens])
    batches, constants, context_ps = _decode(kernels, kept)
    start_ps, token_ps, work_ps = _prefill(kernels, kept)
    head = np.interp(batches, kernels.rows, kernels.head_ps)
    alone_ps = kernels.head_ps[0] + start_ps
    decodes = increasing(np.concatenate([[alone_ps], head + constants]))
    return {
        "tokens_ps": [[0, 0], *knots(sizes, layers)],
        "decodes_ps": knots(np.concatenate([[0.0], batches]), decodes),
        "context_knots": [0],
        "context_ps": [[[0, six_digits(context_ps)]]],
        "prefill_token_ps": six_digits(token_ps),
        "prefill_work_ps": six_digits(work_ps),
        "prefill_ps": 0,
        "prefill_context_ps": 0,
        "longest_context_ps": 0,
    }


def _decode(kernels: Kernels, kept: Kept) -> tuple[Floats, Floats, float]:
    rows = kept.batch(kernels.batch) & kept.context(kernels.context)
    batch, context = kernels.batch[rows], kernels.context[rows]
    batches = np.unique(batch)
    columns = [(batch == b).astype(float) for b in batches] + [batch * context]
    step = kernels.decode_ps[rows] + kernels.linear_ps(batch, batch)
    found = least_squares(np.stack(columns, 1), kernels.decode_ps[rows], step)
    return batches, found[:-1], float(found[-1])


def _prefill(kernels: Kernels, kept: Kept) -> tuple[float, float, float]:
    rows = kept.length(kernels.length)
    prompts, length = kernels.prompts[rows], kernels.length[rows]
    tokens = prompts * length
    columns = np.stack([np.ones_like(length), tokens, tokens * length], 1)
    step = kernels.prefill_ps[rows] + kernels.linear_ps(tokens, prompts)
    start, token, work = least_squares(columns, kernels.prefill_ps[rows], step)
    return float(start), float(token), float(work)


def least_squares(columns: Floats, values: Floats, scale: Floats) -> Floats:
    """Coefficients >= 0 with the least sum of ((columns @ x - values) / scale)^2.

    Active set in the manner of Lawson and Hanson (1974), from all columns downwards:
    columns that come out negative are dropped until none does.
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
    return found


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


def relative(predicted: Floats, measured: Floats) -> tuple[float, float]:
    """Mean and worst absolute relative error, to 3 significant digits."""
    error = np.abs(predicted / measured - 1)
    return float(f"{error.mean():.3g}"), float(f"{error.max():.3g}")


def as_text(content: dict[str, Any]) -> str:
    """JSON text of a calibration file: sorted as given, one knot table a line."""
    table = content["step_time"]
    lines = [f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in table.items()]
    head = json.dumps({**content, "step_time": None}, indent=2)
    body = "{\n" + ",\n".join(lines) + "\n  }"
    return head.removesuffix("null\n}") + body + "\n}\n"
