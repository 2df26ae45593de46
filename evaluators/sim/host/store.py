"""Host memory below a prefix cache: full blocks by their contents, and their copies.

What leaves the GPU's cache, or is new there, is ``put`` here. A block stays when it is
loaded back, as in vLLM's offloading, so that it need not be moved out again. The
longest unused block makes room; it moves on to the tiers below, and the last of them
forgets. A load first has its blocks ``pin``-ned, so that what makes room on the GPU for
them does not push them out.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from evaluators.host_memory import HostMemory
from evaluators.sim.host.links import BACK, OUT, Link, Pieces
from evaluators.sim.host.tiers import Overflow


@dataclass(slots=True)
class _Held:
    """A block in the host from ``here_ps`` on; copies read it until ``busy_ps``.

    Its copy had left the GPU at ``left_ps``.
    """

    here_ps: int
    busy_ps: int
    left_ps: int = 0


class Store:
    """Host memory of one engine with prefix caching, and the link to it."""

    def __init__(self, memory: HostMemory) -> None:
        self._memory = memory
        self._link = Link(memory.curve, is_duplex=memory.is_duplex)
        self._below = Overflow(memory.below)
        self._held: OrderedDict[int, _Held] = OrderedDict()
        self._pinned: dict[int, int] = {}
        self._new = 0
        self.peak_blocks = self.refused = self.spared = 0
        self.loaded_blocks = self.load_ps = 0

    def find(self, contents: Sequence[int]) -> int:
        """How many of the leading contents are in the host or below."""
        held, below = self._held, self._below
        for found, content in enumerate(contents):
            if content not in held and below.where(content) is None:
                return found
        return len(contents)

    def touch(self, contents: Sequence[int]) -> None:
        """A request used these, in prefix order; the last of them make room first."""
        for content in reversed(contents):
            if content in self._held:
                self._held.move_to_end(content)

    def put(self, content: int, now_ps: int) -> int:
        """Copy a block that is complete by then; says when its GPU memory is free.

        Without room, as all of it is pinned, the content is not copied.
        """
        held = self._held.get(content)
        if held or content in self._pinned:
            self.touch((content,))
            self.spared += 1
            return max(now_ps, held.left_ps) if held else now_ps
        room_ps = self._room_ps(now_ps)
        if room_ps is None:
            self.refused += 1
            return now_ps
        if self._below.where(content) is None:
            self._new += 1
        else:
            self._below.drop(content)
        left_ps = self._link.send(self._pieces(1), room_ps, OUT).done_ps
        self._add(content, _Held(left_ps, left_ps, left_ps))
        return left_ps

    def left_ps(self, content: int) -> int:
        """When the last copy of a content that was put has left the GPU; 0 if none."""
        held = self._held.get(content)
        return held.left_ps if held else 0

    def pin(self, contents: Sequence[int], now_ps: int) -> None:
        """These will be loaded next; what is below comes up, which takes time."""
        below = [content for content in contents if content not in self._held]
        self.touch(contents)
        ready_ps = {content: self._below.promote(content, now_ps) for content in below}
        self._pinned = {
            content: ready_ps[content]
            if content in ready_ps
            else self._held[content].here_ps
            for content in contents
        }

    def load(self, now_ps: int) -> int:
        """Copy what is pinned into GPU memory that is free then; says when it landed.

        What came from below stays in the host from now on, if there is room.
        """
        pinned, self._pinned = self._pinned, {}
        starts_ps = max(now_ps, *pinned.values())
        sent = self._link.send(self._pieces(len(pinned)), starts_ps, BACK)
        below = [content for content in pinned if content not in self._held]
        for content in pinned:
            if content in self._held:
                self._held[content].busy_ps = sent.done_ps
        for content in below:
            self._keep(content, pinned[content], sent.done_ps)
        self.touch(tuple(pinned))
        self.loaded_blocks += len(pinned)
        self.load_ps += sent.done_ps - sent.start_ps
        return sent.done_ps

    def free_ps(self) -> int:
        """When the last copy to and from the GPU asked for so far is done."""
        return max(self._link.free_ps(OUT), self._link.free_ps(BACK))

    @property
    def moved_bytes(self) -> tuple[int, int]:
        """Bytes that went out to the host and back."""
        out, back = self._link.moved_bytes
        return out, back

    def tiers(self) -> dict[str, tuple[int, int]]:
        """See ``Copies``."""
        return self._below.moved_bytes()

    def keeps_its_laws(self) -> bool:
        """Every block that came is in one memory, or was forgotten; links are kept."""
        below = self._below
        apart = not any(below.where(content) for content in self._held)
        left = self._new - below.forgotten
        return (
            apart
            and left == len(self._held) + below.objects
            and self.peak_blocks <= self._memory.blocks
            and self._link.keeps_its_bandwidth()
            and below.keeps_its_laws()
        )

    def _pieces(self, blocks: int) -> list[Pieces]:
        copies = self._memory.run_copies
        return [Pieces(blocks * copies, -(-self._memory.block_bytes // copies))]

    def _add(self, content: int, held: _Held) -> None:
        self._held[content] = held
        self.peak_blocks = max(self.peak_blocks, len(self._held))

    def _keep(self, content: int, ready_ps: int, landed_ps: int) -> None:
        """Let a block that came from below lie in the host."""
        room_ps = self._room_ps(ready_ps)
        if room_ps is None:
            self._below.forgotten += 1
        else:
            self._add(content, _Held(room_ps, max(room_ps, landed_ps)))

    def _room_ps(self, now_ps: int) -> int | None:
        """When there is room for a block, from ``now_ps`` on; None if there is none."""
        room_ps = now_ps
        while len(self._held) >= self._memory.blocks:
            oldest = next(iter(self._held), None)
            if oldest is None or oldest in self._pinned:
                return None
            leaves_ps = max(now_ps, self._held.pop(oldest).busy_ps)
            size_bytes = self._memory.block_bytes
            gone_ps = self._below.demote(oldest, size_bytes, leaves_ps)
            room_ps = max(room_ps, leaves_ps if gone_ps is None else gone_ps)
        return room_ps
