"""Moves the KV of preempted requests to host memory and back, and keeps copies there.

What an engine does with it: when a request is preempted, ``leave``, then ``out`` to
keep its KV in the host, or ``drop`` to lose it. Its GPU blocks count as free at once;
``begins_ps`` says when a step may begin that takes blocks which a copy has not yet
left. A request with KV in the host waits like any other one; when it is admitted, its
blocks are taken, ``back`` moves its KV, and it computes on from there once that landed.
A copy kept in the host stays valid while the request runs on, so that the next ``out``
moves only what is new; kept copies make room, the oldest first, for others. What still
has no room moves on to the tiers below, the longest waiting first, and comes back
through the host.
"""

from dataclasses import dataclass

from evaluators.host_memory import HostMemory
from evaluators.sim.host.copies import Copies, stall_columns
from evaluators.sim.host.links import BACK, OUT, Link, Pieces, pieces_of
from evaluators.sim.host.segments import allocator
from evaluators.sim.host.tiers import Tiers


@dataclass(slots=True)
class _Copy:
    """The leading ``tokens`` of a request in so many host blocks, 0 if in a tier below.

    ``arrived_ps`` is when the host has it. It ``is_away`` until the request is admitted
    again; a copy that is not kept is let go when it has landed on the GPU.
    """

    tokens: int
    blocks: int
    is_kept: bool
    arrived_ps: int = 0
    is_away: bool = True
    landed_ps: int = 0


class Swap:
    """Host memory of one engine, with the link to it and the place of every block."""

    def __init__(
        self, memory: HostMemory, total_blocks: int, block_tokens: int
    ) -> None:
        self._memory, self._block_tokens = memory, block_tokens
        self._link = Link(memory.curve, is_duplex=memory.is_duplex)
        self._below = Tiers(memory.below)
        self._places = allocator(total_blocks, memory.group_blocks)
        self._copies: dict[int, _Copy] = {}
        self._left: dict[int, list[int]] = {}
        self._leaving: list[tuple[int, int]] = []
        self._coming: list[tuple[int, int]] = []
        self._used = self._peak = self._written = self._let_go = 0
        self._swaps = self._refused = self._spared = self._lost = 0
        self._stalls: list[tuple[int, int]] = []

    def take(self, row: int, blocks: int) -> None:
        """The row takes so many GPU blocks more."""
        if blocks:
            self._places.take(row, blocks)

    def leave(self, row: int, now_ps: int) -> None:
        """The row lets go of its GPU blocks, yet where they lay is remembered."""
        self._settle(now_ps)
        skip, copy = 0, self._copies.get(row)
        if copy:
            skip, copy.is_away = copy.tokens // self._block_tokens, True
        self._left[row] = self._places.runs(row, skip)
        self._places.release(row)

    def out(self, row: int, tokens: int, now_ps: int, *, keep: bool) -> bool:
        """Move the KV of a row that left to the host; False if there is no room.

        With ``keep`` the copy outlives the row's return. Without room the row's KV is
        lost, and so is any copy of it.
        """
        runs = self._left.pop(row)
        blocks = self._blocks(tokens)
        old = self._copies.pop(row, _Copy(0, 0, keep))
        self._used -= old.blocks
        room_ps = self._make_room(blocks, now_ps)
        if room_ps is None:
            self._refused += 1
            self._let_go += old.blocks
            return False
        self._swaps += 1
        self._used += blocks
        self._peak = max(self._peak, self._used)
        copy = self._copies[row] = _Copy(tokens, blocks, keep, old.arrived_ps)
        if old.tokens == tokens:
            self._spared += blocks
            self._leaving.append((max(now_ps, old.landed_ps), blocks))
            return True
        moved = blocks - old.tokens // self._block_tokens
        self._spared += blocks - moved
        self._written += moved
        self._let_go += old.blocks - old.tokens // self._block_tokens
        starts_ps = max(room_ps, old.landed_ps)
        copy.arrived_ps = self._link.send(self._pieces(runs), starts_ps, OUT).done_ps
        self._leaving.append((copy.arrived_ps, moved))
        return True

    def back(self, row: int, free_blocks: int, now_ps: int) -> int:
        """Move a row's KV into the blocks it took; says when it has landed.

        ``free_blocks`` are left when it has taken them.
        """
        copy = self._copies[row]
        copy.is_away = False
        start = max(copy.arrived_ps, self._vacant_ps(free_blocks, now_ps))
        runs = _leading(self._places.runs(row), self._blocks(copy.tokens))
        if self._below.where(row):
            start = self._below.promote(row, start)
            copy.tokens, copy.is_kept = 0, False
        sent = self._link.send(self._pieces(runs), start, BACK)
        copy.landed_ps = sent.done_ps
        if sent.start_ps > now_ps:
            self._coming.append((sent.start_ps, sum(runs)))
        return sent.done_ps

    def holds(self, row: int) -> int:
        """Tokens of a waiting row whose KV is in the host."""
        copy = self._copies.get(row)
        return copy.tokens if copy and copy.is_away else 0

    def drop(self, row: int) -> None:
        """The row is done, or loses its KV: its blocks and its copy are let go."""
        self._places.release(row)
        self._left.pop(row, None)
        copy = self._copies.pop(row, None)
        if copy:
            self._let_go_of(copy)
        if self._below.where(row):
            self._below.drop(row)

    def lose(self) -> None:
        """All host memory is lost; those that wait have to compute again."""
        self._lost += sum(copy.is_away for copy in self._copies.values())
        for row in tuple(self._copies):
            self.drop(row)

    def begins_ps(self, free_blocks: int, now_ps: int) -> int:
        """When a step formed now may begin to compute; the wait counts as stall."""
        if self._memory.overlaps:
            self._coming = [pair for pair in self._coming if pair[0] > now_ps]
            spare = free_blocks + sum(blocks for _, blocks in self._coming)
            at = self._vacant_ps(spare, now_ps)
        else:
            at = max(now_ps, self._link.free_ps(OUT), self._link.free_ps(BACK))
        if at > now_ps:
            self._stalls.append((now_ps, at - now_ps))
        return at

    def is_quiet(self, now_ps: int) -> bool:
        """Whether no copy is under way."""
        return max(self._link.free_ps(OUT), self._link.free_ps(BACK)) <= now_ps

    def result(self) -> Copies:
        """What was moved so far."""
        out, back = self._link.moved_bytes
        held = sum(copy.blocks for copy in self._copies.values())
        kept_laws = (
            self._link.keeps_its_bandwidth()
            and held == self._used == self._written - self._let_go
            and self._peak <= self._memory.blocks
            and self._below.keeps_its_laws()
        )
        assumed = [c.name for c in self._memory.curves if c.status == "assumed"]
        stalled_at_ps, stall_ps = stall_columns(self._stalls)
        return Copies(
            swaps=self._swaps,
            refused=self._refused,
            out_bytes=out,
            back_bytes=back,
            spared_bytes=self._spared * self._memory.block_bytes,
            tiers=self._below.moved_bytes(),
            stalled_at_ps=stalled_at_ps,
            stall_ps=stall_ps,
            peak_blocks=self._peak,
            end_blocks=self._used,
            kept_laws=kept_laws,
            assumed=tuple(assumed),
            lost=self._lost,
        )

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self._block_tokens)

    def _pieces(self, runs: list[int]) -> list[Pieces]:
        return pieces_of(runs, self._memory.run_copies, self._memory.block_bytes)

    def _settle(self, now_ps: int) -> None:
        """Let go of the copies that are back on the GPU and not kept."""
        landed = [
            row
            for row, copy in self._copies.items()
            if not (copy.is_away or copy.is_kept) and copy.landed_ps <= now_ps
        ]
        for row in landed:
            self._let_go_of(self._copies.pop(row))

    def _make_room(self, blocks: int, now_ps: int) -> int | None:
        """Let go of copies of rows that are back, then move waiting ones down.

        Returns when the room is there; None if it cannot be.
        """
        most, room_ps = self._memory.blocks - blocks, now_ps
        for row, copy in tuple(self._copies.items()):
            if self._used <= most:
                return room_ps
            if not copy.is_away and copy.landed_ps <= now_ps:
                del self._copies[row]
                self._let_go_of(copy)
        for row, copy in tuple(self._copies.items()) if most >= 0 else ():
            if self._used <= most:
                break
            if copy.is_away and copy.blocks and row not in self._left:
                size_bytes = copy.blocks * self._memory.block_bytes
                leaves_ps = max(now_ps, copy.arrived_ps)
                gone_ps = self._below.demote(row, size_bytes, leaves_ps)
                if gone_ps is not None:
                    room_ps = max(room_ps, gone_ps)
                    self._let_go_of(copy)
                    copy.arrived_ps, copy.blocks = gone_ps, 0
        return room_ps if self._used <= most else None

    def _let_go_of(self, copy: _Copy) -> None:
        self._used -= copy.blocks
        self._let_go += copy.blocks

    def _vacant_ps(self, free_blocks: int, now_ps: int) -> int:
        """When no more blocks than are free have yet to be left by a copy."""
        self._leaving = sorted(pair for pair in self._leaving if pair[0] > now_ps)
        at, held = now_ps, sum(blocks for _, blocks in self._leaving)
        for done_ps, blocks in self._leaving:
            if held <= free_blocks:
                break
            at, held = done_ps, held - blocks
        return at


def _leading(runs: list[int], blocks: int) -> list[int]:
    """The runs of the first so many blocks."""
    found = []
    for run in runs:
        found.append(min(run, blocks))
        blocks -= found[-1]
    return [run for run in found if run]
