"""A column of memories, each joined by a link to the one above it.

What comes from above enters the first; what a memory has no room for moves down, the
least recently used first. An object lies in one memory at a time, in one piece.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from evaluators.host_memory import Tier
from evaluators.sim.host.links import BACK, OUT, Link, Pieces


@dataclass(slots=True)
class _Level:
    """One memory: its objects with their bytes and when they are there, oldest first.

    ``came`` and ``went`` count bytes, so that what came is what went and what is here.
    """

    tier: Tier
    link: Link
    objects: OrderedDict[Hashable, tuple[int, int]] = field(default_factory=OrderedDict)
    used: int = 0
    came: int = 0
    went: int = 0

    def add(self, key: Hashable, size_bytes: int, here_ps: int) -> None:
        self.objects[key] = size_bytes, here_ps
        self.used += size_bytes
        self.came += size_bytes

    def remove(self, key: Hashable) -> tuple[int, int]:
        size_bytes, here_ps = self.objects.pop(key)
        self.used -= size_bytes
        self.went += size_bytes
        return size_bytes, here_ps

    def keeps_its_laws(self) -> bool:
        held = sum(size_bytes for size_bytes, _ in self.objects.values())
        fits = self.used <= self.tier.size_bytes
        return (
            fits
            and held == self.used == self.came - self.went
            and self.link.keeps_its_bandwidth()
        )


class Tiers:
    """Objects in such a column; the first tier's link joins it to whoever uses it."""

    def __init__(self, tiers: Sequence[Tier]) -> None:
        self._levels = [
            _Level(tier, Link(tier.curve, is_duplex=tier.is_duplex)) for tier in tiers
        ]

    def demote(self, key: Hashable, size_bytes: int, now_ps: int) -> int | None:
        """Take an object from above; says when it is here, None if there is no room.

        Its copy begins when there is room, which moving others down may take.
        """
        return (
            self._enter(0, key, size_bytes, now_ps) if self._fits(size_bytes) else None
        )

    def promote(self, key: Hashable, now_ps: int) -> int:
        """Move an object up and out of the column; says when it is above."""
        at = self._level_of(key)
        size_bytes, here_ps = self._levels[at].remove(key)
        moved_ps = max(now_ps, here_ps)
        for level in reversed(self._levels[: at + 1]):
            sent = level.link.send([Pieces(1, size_bytes)], moved_ps, BACK)
            moved_ps = sent.done_ps
        return moved_ps

    def drop(self, key: Hashable) -> None:
        """Forget an object."""
        self._levels[self._level_of(key)].remove(key)

    def where(self, key: Hashable) -> str | None:
        """Name of the tier that holds an object; None if none does."""
        names = (level.tier.name for level in self._levels if key in level.objects)
        return next(names, None)

    def moved_bytes(self) -> dict[str, tuple[int, int]]:
        """Bytes that went down and up each tier's link, by its name."""
        return {
            level.tier.name: (level.link.moved_bytes[OUT], level.link.moved_bytes[BACK])
            for level in self._levels
        }

    def keeps_its_laws(self) -> bool:
        """Bytes in = bytes out + resident <= capacity; no link beats its bandwidth."""
        return all(level.keeps_its_laws() for level in self._levels)

    def _level_of(self, key: Hashable) -> int:
        return next(i for i, level in enumerate(self._levels) if key in level.objects)

    def _fits(self, size_bytes: int) -> bool:
        """Whether all of it has a place, were others to move down one by one."""
        levels = [
            ([size for size, _ in level.objects.values()], level.tier.size_bytes)
            for level in self._levels
        ]
        falling = [size_bytes]
        for held, room in levels:
            if any(size > room for size in falling):
                return False
            held = held + falling
            falling = []
            while sum(held) > room:
                falling.append(held.pop(0))
        return not falling

    def _enter(self, at: int, key: Hashable, size_bytes: int, now_ps: int) -> int:
        """Make room in a tier and copy an object into it; says when it is there."""
        level, room_ps = self._levels[at], now_ps
        while level.used + size_bytes > level.tier.size_bytes:
            oldest = next(iter(level.objects))
            size, here_ps = level.remove(oldest)
            gone_ps = self._enter(at + 1, oldest, size, max(now_ps, here_ps))
            room_ps = max(room_ps, gone_ps)
        here_ps = level.link.send([Pieces(1, size_bytes)], room_ps, OUT).done_ps
        level.add(key, size_bytes, here_ps)
        return here_ps


class Overflow(Tiers):
    """The same below a cache: what the last tier has no room for is forgotten."""

    def __init__(self, tiers: Sequence[Tier]) -> None:
        super().__init__(tiers)
        self.forgotten = 0

    @property
    def objects(self) -> int:
        """How many objects are here."""
        return sum(len(level.objects) for level in self._levels)

    def _fits(self, size_bytes: int) -> bool:
        return True

    def _enter(self, at: int, key: Hashable, size_bytes: int, now_ps: int) -> int:
        levels = self._levels
        if at == len(levels) or size_bytes > levels[at].tier.size_bytes:
            self.forgotten += 1
            return now_ps
        return super()._enter(at, key, size_bytes, now_ps)
