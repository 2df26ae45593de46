"""Copies between pinned host memory and the device: whole, in blocks, both ways."""

from collections.abc import Callable, Iterator

import torch

from evaluators.kernels.bench import Bench
from evaluators.kernels.grid import Grid
from evaluators.kernels.operation import Candidate
from evaluators.kernels.table import Size

NAME = "copies"
SIZES = ("direction", "bytes", "pieces")
LEAST = 1 << 12
PIECES = (1, 16, 64)
"""Copies that the bytes are moved in: KV of a block lies in one piece, or in one for
the keys and one for the values of each layer."""

DIRECTIONS = ("to_device", "to_host", "both", "within")
"""``both``: at once, so many bytes each way; ``within``: from memory to memory of the
same device, the only one of a CPU."""


def points(grid: Grid) -> list[tuple[Size, ...]]:
    """Powers of four, whole; and in pieces where each has ``LEAST`` bytes."""
    sizes, size = list[int](), LEAST
    while size <= grid.largest_copy:
        sizes.append(size)
        size *= 4
    return [
        (direction, size, pieces)
        for direction in DIRECTIONS
        for pieces in PIECES
        for size in sizes
        if size // pieces >= LEAST
    ]


def candidates(
    bench: Bench, grid: Grid, point: tuple[Size, ...]
) -> Iterator[Candidate]:
    """Asynchronous copies on one stream, or on two; checked to the last bit."""
    del grid
    direction, size, pieces = str(point[0]), int(point[1]), int(point[2])
    if bench.kind == "cpu" and direction != "within":
        return
    ways = ("to_device", "to_host") if direction == "both" else (direction,)
    made = [_way(bench, way, size, pieces) for way in ways]
    run = made[0][0] if len(made) == 1 else _together([each[0] for each in made])
    run()
    bench.synchronize()
    wrong = 0.0 if all(is_equal() for _, is_equal in made) else float("inf")
    yield Candidate(f"{pieces} x copy_", [run], wrong)


Way = tuple[Callable[[], None], Callable[[], bool]]


def _way(bench: Bench, direction: str, size: int, pieces: int) -> Way:
    """A copy, and whether it did what it should. Pieces lie apart on both sides."""
    each = size // pieces
    source = _memory(bench, pieces, each, on_host=direction == "to_device")
    target = _memory(bench, pieces, each, on_host=direction == "to_host")
    places = bench.order.permutation(pieces).tolist()
    pairs = [(target[to, 0], source[at, 0]) for at, to in enumerate(places)]

    def run() -> None:
        for into, out in pairs:
            into.copy_(out, non_blocking=True)

    def is_equal() -> bool:
        return all(bool(torch.equal(into.cpu(), out.cpu())) for into, out in pairs)

    return run, is_equal


def _memory(bench: Bench, pieces: int, each: int, *, on_host: bool) -> torch.Tensor:
    """Random bytes (pieces, 2, bytes): of two neighbours only the first is used."""
    width = 2 if pieces > 1 else 1
    is_pinned = on_host and bench.kind == "cuda"
    place = "cpu" if on_host else bench.device
    made = torch.empty(
        (pieces, width, each), dtype=torch.uint8, device=place, pin_memory=is_pinned
    )
    return made.random_(0, 256)


def _together(runs: list[Callable[[], None]]) -> Callable[[], None]:
    """Both at once, each on its own stream; done when both are."""
    side = torch.cuda.Stream()

    def run() -> None:
        own = torch.cuda.current_stream()
        side.wait_stream(own)
        with torch.cuda.stream(side):
            runs[0]()
        runs[1]()
        own.wait_stream(side)

    return run
