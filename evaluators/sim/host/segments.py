"""Where the KV blocks of each request lie, told as contiguous runs of blocks.

Counts of free blocks are the engine's; an allocator here can always serve what fits.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Protocol


class Allocator(Protocol):
    """Gives blocks to rows and tells how contiguous those of a row are."""

    def take(self, row: int, blocks: int) -> None:
        """The row takes so many blocks more; so many are free."""
        ...

    def release(self, row: int) -> None:
        """The row lets go of all its blocks."""
        ...

    def runs(self, row: int, skip: int = 0) -> list[int]:
        """Lengths of the row's contiguous runs, without its first ``skip`` blocks."""
        ...


def allocator(total_blocks: int, group_blocks: int) -> Allocator:
    """Groups of so many blocks, or with 1 each block by itself."""
    return Groups(total_blocks, group_blocks) if group_blocks > 1 else Paged()


class Paged:
    """Each block by itself, as vLLM's swapping moves them."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[int, int] = {}

    def take(self, row: int, blocks: int) -> None:
        """The row takes so many blocks more."""
        self._held[row] = self._held.get(row, 0) + blocks

    def release(self, row: int) -> None:
        """The row lets go of all its blocks."""
        self._held.pop(row, None)

    def runs(self, row: int, skip: int = 0) -> list[int]:
        """A run for each block."""
        return [1] * max(0, self._held.get(row, 0) - skip)


@dataclass(slots=True)
class _Group:
    """Blocks from ``start`` on, the first ``used`` of ``length`` in use."""

    start: int
    length: int
    used: int = 0


class Groups:
    """Contiguous groups of blocks, like FastSwitch's dynamic block groups (2024).

    A row fills its last group, then takes the blocks behind it if they are free, then
    the smallest free run that holds a whole group, or the longest there is. What no
    free run covers is taken from the longest unused rest of another row's group, so
    that no block is lost to groups.
    """

    __slots__ = ("_free", "_group_blocks", "_groups")

    def __init__(self, total_blocks: int, group_blocks: int) -> None:
        self._group_blocks = group_blocks
        self._free: list[tuple[int, int]] = [(0, total_blocks)]
        self._groups: dict[int, list[_Group]] = {}

    def take(self, row: int, blocks: int) -> None:
        """The row takes so many blocks more; raises ``ValueError`` if there are not."""
        groups = self._groups.setdefault(row, [])
        while blocks > 0:
            if not groups or groups[-1].used == groups[-1].length:
                self._reserve(groups, max(blocks, self._group_blocks))
            last = groups[-1]
            taken = min(blocks, last.length - last.used)
            last.used += taken
            blocks -= taken

    def release(self, row: int) -> None:
        """The row lets go of all its blocks, and of what its groups reserved."""
        for group in self._groups.pop(row, ()):
            self._give(group.start, group.length)

    def runs(self, row: int, skip: int = 0) -> list[int]:
        """Lengths of the runs; groups that touch are one run."""
        found: list[int] = []
        end = -1
        for group in self._groups.get(row, ()):
            hidden = min(skip, group.used)
            skip -= hidden
            if group.used == hidden:
                continue
            if group.start + hidden == end:
                found[-1] += group.used - hidden
            else:
                found.append(group.used - hidden)
            end = group.start + group.used
        return found

    def blocks(self, row: int) -> list[int]:
        """Addresses of the row's blocks, in token order."""
        groups = self._groups.get(row, ())
        return [at for g in groups for at in range(g.start, g.start + g.used)]

    def _reserve(self, groups: list[_Group], wanted: int) -> None:
        """Give the row room in a group: behind its last one, or somewhere else."""
        if not self._free:
            self._reclaim()
        if groups:
            last = groups[-1]
            behind = last.start + last.length
            at = bisect_left(self._free, (behind, 0))
            if at < len(self._free) and self._free[at][0] == behind:
                last.length += self._cut(at, wanted)
                return
        fitting = [(n, start) for start, n in self._free if n >= wanted]
        longest = max(((n, -start) for start, n in self._free))
        start = min(fitting)[1] if fitting else -longest[1]
        at = bisect_left(self._free, (start, 0))
        groups.append(_Group(start, self._cut(at, wanted)))

    def _cut(self, at: int, wanted: int) -> int:
        """Take up to ``wanted`` blocks off the front of a free run; says how many."""
        start, length = self._free.pop(at)
        if length > wanted:
            self._free.insert(at, (start + wanted, length - wanted))
        return min(length, wanted)

    def _reclaim(self) -> None:
        """Free the longest unused rest of any group."""
        lasts = [groups[-1] for groups in self._groups.values() if groups]
        group = max(lasts, key=lambda g: g.length - g.used, default=None)
        if group is None or group.length == group.used:
            raise ValueError("no block is free; expected the engine to know")
        rest = group.length - group.used
        group.length = group.used
        self._free.append((group.start + group.used, rest))

    def _give(self, start: int, length: int) -> None:
        """Add a free run, joined with the free runs it touches."""
        at = bisect_left(self._free, (start, 0))
        if at < len(self._free) and self._free[at][0] == start + length:
            length += self._free.pop(at)[1]
        if at and sum(self._free[at - 1]) == start:
            start, more = self._free.pop(at - 1)
            length += more
        insort(self._free, (start, length))
