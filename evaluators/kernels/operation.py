"""What an operation's file offers, and how one of its sizes is measured."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from evaluators.kernels.bench import Bench, Call
from evaluators.kernels.grid import Grid
from evaluators.kernels.spread import Spread
from evaluators.kernels.table import Size


class Candidate(NamedTuple):
    """A kernel for one size: calls on rotated inputs, and its error against float64."""

    kernel: str
    calls: Sequence[Call]
    error: float


class Operation(Protocol):
    """A module of this folder with one table: ``NAME`` is the file, ``SIZES`` its keys.

    ``points`` are the sizes to measure in ascending order; ``candidates`` the kernels
    for one of them, each checked already.
    """

    NAME: str
    SIZES: tuple[str, ...]

    def points(self, grid: Grid) -> Sequence[tuple[Size, ...]]:
        """Sizes, ascending."""
        ...

    def candidates(
        self, bench: Bench, grid: Grid, point: tuple[Size, ...]
    ) -> Iterator[Candidate]:
        """Kernels that compute it; one at a time, so that memory is let go of."""
        ...


class Measured(NamedTuple):
    """The fastest right kernel of a size, and the names of those that were wrong."""

    kernel: str
    spread: Spread | None
    error: float
    refused: tuple[str, ...]


def measure(
    operation: Operation, bench: Bench, grid: Grid, point: tuple[Size, ...]
) -> Measured:
    """Time every kernel whose error passes; a wrong one is never timed.

    ``spread`` is None where none passed.
    """
    best: Measured | None = None
    refused: list[str] = []
    for each in operation.candidates(bench, grid, point):
        if not each.error <= bench.tolerance:
            refused.append(f"{each.kernel}: error {each.error:.3g}")
            continue
        found = bench.timed(each.calls)
        if best is None or best.spread is None or found.p50 < best.spread.p50:
            best = Measured(each.kernel, found, each.error, ())
    if best is None:
        return Measured("none", None, float("inf"), tuple(refused))
    return best._replace(refused=tuple(refused))
