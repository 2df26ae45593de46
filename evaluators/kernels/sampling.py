"""Choosing the next token from logits: the largest, or drawn from the likeliest."""

from collections.abc import Iterator
from functools import partial

import torch

from evaluators.kernels.bench import Bench, exact
from evaluators.kernels.grid import Grid
from evaluators.kernels.operation import Candidate
from evaluators.kernels.table import Size

NAME = "sampling"
SIZES = ("method", "rows", "vocab")
KEPT = 50
NUCLEUS = 0.9


def greedy(logits: torch.Tensor) -> torch.Tensor:
    """Index of the largest logit of each row."""
    return logits.argmax(1)


def nucleus(logits: torch.Tensor) -> torch.Tensor:
    """A draw from the ``KEPT`` likeliest tokens that hold ``NUCLEUS`` of these.

    Drawn by exponential races, so that nothing waits for the host.
    """
    top, where = logits.float().topk(min(KEPT, logits.shape[1]), dim=1)
    shares = torch.softmax(top, 1)
    before = shares.cumsum(1) - shares
    shares = shares.masked_fill(before > NUCLEUS, 0.0)
    raced = shares / torch.empty_like(shares).exponential_()
    return where.gather(1, raced.argmax(1, keepdim=True))[:, 0]


def points(grid: Grid) -> list[tuple[Size, ...]]:
    """Both methods at every batch, with the model's vocabulary."""
    return [
        (name, rows, grid.model.vocab)
        for name in ("greedy", "nucleus")
        for rows in grid.batches
    ]


def candidates(
    bench: Bench, grid: Grid, point: tuple[Size, ...]
) -> Iterator[Candidate]:
    """The library's kernels; a chosen token must be one that float64 allows, too."""
    del grid
    method, rows, vocab = str(point[0]), int(point[1]), int(point[2])
    turns = min(8, bench.rotations(rows * vocab * bench.dtype.itemsize))
    draws = [bench.random(rows, vocab) for _ in range(turns)]
    choose = greedy if method == "greedy" else nucleus
    n_likely = 1 if method == "greedy" else min(KEPT, vocab)
    worst = max(_error(choose(draw), draw, n_likely) for draw in draws[:2])
    yield Candidate(method, [partial(choose, draw) for draw in draws], worst)


def _error(chosen: torch.Tensor, logits: torch.Tensor, n_likely: int) -> float:
    """How far below the last likely token the chosen ones lie; ties count as none."""
    sure = exact(logits)
    least = sure.topk(n_likely, dim=1).values[:, -1]
    own = sure.gather(1, chosen.cpu()[:, None])[:, 0]
    missing = (least - own).clamp(min=0.0)
    return float((missing / sure.abs().amax(1)).max())
