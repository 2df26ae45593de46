"""A link that copies bytes between two memories, first come, first served."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from evaluators.calibration.copy_curve import CopyCurve

Direction = Literal[0, 1]
OUT: Direction = 0
BACK: Direction = 1


class Pieces(NamedTuple):
    """So many copies of so many bytes each."""

    copies: int
    size_bytes: int


class Transfer(NamedTuple):
    """When a transfer began to move, and when its last byte has landed."""

    start_ps: int
    done_ps: int


class Link:
    """State of one link; a transfer is served once those asked for before are done.

    A duplex link serves its two directions independently, any other one in a single
    queue. Copies of a transfer follow one another. Times may be asked for in any order,
    yet the queue keeps the order of the calls.
    """

    __slots__ = ("_free_ps", "busy_ps", "curve", "is_duplex", "moved_bytes")

    def __init__(self, curve: CopyCurve, *, is_duplex: bool = True) -> None:
        self.curve, self.is_duplex = curve, is_duplex
        self._free_ps = [0, 0]
        self.busy_ps = [0, 0]
        self.moved_bytes = [0, 0]

    def send(
        self, pieces: Iterable[Pieces], now_ps: int, direction: Direction = OUT
    ) -> Transfer:
        """Queue a transfer that may begin at ``now_ps``."""
        lane = direction if self.is_duplex else 0
        start = max(now_ps, self._free_ps[lane])
        duration = 0
        for copies, size in pieces:
            duration += copies * self.curve.copy_ps(size)
            self.moved_bytes[direction] += copies * size
        self.busy_ps[lane] += duration
        self._free_ps[lane] = max(self._free_ps[lane], start + duration)
        return Transfer(start, start + duration)

    def free_ps(self, direction: Direction = OUT) -> int:
        """When the last transfer asked for so far in that direction is done."""
        return self._free_ps[direction if self.is_duplex else 0]

    def keeps_its_bandwidth(self) -> bool:
        """The law of every link: bytes moved <= bandwidth x time, lane by lane."""
        lanes = self.moved_bytes if self.is_duplex else [sum(self.moved_bytes)]
        return all(
            self.curve.least_ps(moved) <= busy <= free
            for moved, busy, free in zip(
                lanes, self.busy_ps, self._free_ps, strict=False
            )
        )


def pieces_of(runs: Iterable[int], run_copies: int, block_bytes: int) -> list[Pieces]:
    """Copies that contiguous runs of so many blocks each take.

    A run is moved in ``run_copies`` equal copies, as its blocks lie together once in
    each of so many tensors (keys and values of every layer).
    """
    return [Pieces(run_copies, -(-run * block_bytes // run_copies)) for run in runs]
