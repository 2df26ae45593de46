"""Measures operations in the order of their worth, until a time is up."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from evaluators.kernels import (
    ceilings,
    copies,
    decode_attention,
    elementwise,
    experts,
    gemm,
    layers,
    mixed_attention,
    prefill_attention,
    sampling,
    sharing,
    steps,
    unequal_attention,
)
from evaluators.kernels.bench import Bench, refusals_of_size
from evaluators.kernels.grid import Grid, coarse_first
from evaluators.kernels.operation import Operation, measure
from evaluators.kernels.refusals import Refusals
from evaluators.kernels.table import Size, Table

SHARES = {
    ceilings: 0.03,
    steps: 0.27,
    gemm: 0.18,
    decode_attention: 0.12,
    prefill_attention: 0.10,
    elementwise: 0.04,
    copies: 0.08,
    unequal_attention: 0.04,
    experts: 0.04,
    layers: 0.04,
    mixed_attention: 0.02,
    sampling: 0.02,
    sharing: 0.02,
}
"""The worth of each: its place in the order, and what it gets of the time at first."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Work:
    """An operation with its sizes in the order to measure, and where they go."""

    operation: Operation
    points: Sequence[tuple[Size, ...]]
    table: Table
    share: float


def operations() -> tuple[Operation, ...]:
    """All there are, the worthiest first."""
    return tuple(cast(Operation, module) for module in SHARES)


def names() -> tuple[str, ...]:
    """Their names, which are those of their tables."""
    return tuple(operation.NAME for operation in operations())


def chosen(only: Sequence[str]) -> tuple[Operation, ...]:
    """The named ones, or all; raises ``ValueError`` naming those there are."""
    for name in only:
        if name not in names():
            raise ValueError(f"no operation {name!r}; there are {', '.join(names())}")
    return tuple(each for each in operations() if not only or each.NAME in only)


def run(
    bench: Bench,
    grid: Grid,
    folder: Path,
    only: Sequence[str],
    seconds: float,
    tell: Tell,
) -> int:
    """Measure what is not in the folder's tables yet; returns how many sizes were.

    First each operation gets its share of the time, then what is left goes in the order
    of worth. A size in the middle of its measurement is finished. Every row is on the
    disk before the next is begun.
    """
    began, n_measured = time.monotonic(), 0
    with ExitStack() as stack:
        refusals = stack.enter_context(Refusals(folder / "refused.csv"))
        works = _works(grid, folder, chosen(only), stack)
        for work, is_first in [
            *((w, True) for w in works),
            *((w, False) for w in works),
        ]:
            now = time.monotonic()
            until = began + seconds
            if is_first:
                until = min(until, now + work.share * seconds)
            n_measured += _measure(bench, grid, work, refusals, until)
            tell(_progress(work, now))
    return n_measured


def _works(
    grid: Grid, folder: Path, wanted: Sequence[Operation], stack: ExitStack
) -> list[Work]:
    """What is to be done, with tables that the stack closes."""
    shares = {cast(Operation, module): share for module, share in SHARES.items()}
    whole = sum(shares[operation] for operation in wanted)
    works = []
    for each in wanted:
        points = coarse_first(each.points(grid), seed=len(each.NAME))
        table = Table(folder / f"{each.NAME}.csv", each.SIZES)
        works.append(
            Work(each, points, stack.enter_context(table), shares[each] / whole)
        )
    return works


def _measure(
    bench: Bench, grid: Grid, work: Work, refusals: Refusals, until: float
) -> int:
    n_measured, name = 0, work.operation.NAME
    for point in work.points:
        if time.monotonic() >= until:
            break
        if work.table.has(point) or refusals.has(name, point):
            continue
        try:
            found = measure(work.operation, bench, grid, point)
        except refusals_of_size() as error:
            # A device that is lost for good raises again here, and ends the run.
            bench.synchronize()
            refusals.append(name, point, f"{type(error).__name__}: {error}")
            continue
        for refused in found.refused:
            refusals.append(name, point, refused)
        if found.spread is None:
            if not found.refused:
                refusals.append(name, point, "not on this device")
            continue
        work.table.append(point, found.kernel, found.spread, found.error)
        n_measured += 1
    bench.kept.clear()
    if bench.kind == "cuda":
        torch.cuda.empty_cache()
    return n_measured


def _progress(work: Work, began: float) -> str:
    took = time.monotonic() - began
    return (
        f"{work.operation.NAME}: {len(work.table)} of {len(work.points)} sizes, "
        f"{took:.1f} s"
    )
