"""KV that goes from replica to replica: live migration, and prompts handed over.

A migration copies in stages while the request goes on decoding, until what is left is
small; then, between two steps of the source, it leaves and the rest follows. The
destination has memory for what it gets before anything is sent. A prompt handed over
waits, in its replica's memory, until a decode replica has memory for it.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from evaluators.fleet import Fleet
from evaluators.sim.cluster.members import Members
from evaluators.sim.cluster.replica import Carried, Replica
from evaluators.sim.host.links import BACK, OUT, Link, Pieces

MOST_STAGES = 16
"""Copies after which a migration stops the request, however much is left."""


@dataclass(slots=True, eq=False)
class Move:
    """A request on its way; ``sent`` tokens are at the target or about to be.

    ``carried`` says how far it is once it emits nothing at the source any more. A
    request ``handed`` over keeps its memory there until all of it has arrived.
    """

    row: int
    source: int
    target: int
    handed: bool = False
    sent: int = 0
    stages: int = 0
    carried: Carried | None = None


Then = Callable[[int, int, Move], None]


@dataclass(frozen=True, slots=True)
class Desk:
    """What moves ask of the cluster around them.

    ``advance`` brings a replica to a time, ``later`` calls back for a row at a time,
    ``moved`` is told the row, its old and its new replica.
    """

    advance: Callable[[int, int], None]
    later: Callable[[int, int, Then, Move], None]
    moved: Callable[[int, int, int], None]


class Moves:
    """All requests on their way between replicas, and the ports they go through.

    ``incoming`` counts those on their way to each replica.
    """

    def __init__(self, fleet: Fleet, members: Members, desk: Desk) -> None:
        self._fleet, self._members, self._desk = fleet, members, desk
        wire = fleet.wire
        self._ports = [Link(wire) for _ in fleet.members] if wire else []
        self._moves: dict[int, Move] = {}
        self._ready: deque[tuple[int, int]] = deque()
        self._decoders = [
            i for i, member in enumerate(fleet.members) if member.role == "decode"
        ]
        self._last = -1
        self._prompt_tokens = members.prompt_tokens
        self._block_tokens = fleet.members[0].deployment.block_tokens
        self.incoming = [0] * len(fleet.members)

    def __contains__(self, row: int) -> bool:
        return row in self._moves

    @property
    def keep_their_bandwidth(self) -> bool:
        """The law of every port: bytes moved <= bandwidth x time."""
        return all(port.keeps_its_bandwidth() for port in self._ports)

    # -- migration ------------------------------------------------------------------

    def start(self, at_ps: int, move: Move) -> None:
        """Begin to move a decoding request, if the target has memory for it."""
        self._advance(move, at_ps)
        progress = self._engine(move.source).how_far(move.row)
        if progress and self._reserve(move, progress):
            self._moves[move.row] = move
            self.incoming[move.target] += 1
            self._send(at_ps, move, progress, self._arrived)

    def _arrived(self, at_ps: int, row: int, move: Move) -> None:
        """A stage has landed: send what came since, or the rest between two steps."""
        if self._moves.get(row) is not move:
            return
        self._advance(move, at_ps)
        progress = self._engine(move.source).how_far(row)
        if progress is None:
            self._give_up(at_ps, move)
            return
        left = self._tokens(progress) - move.sent
        if left > self._block_tokens and move.stages < MOST_STAGES:
            if self._reserve(move, progress):
                self._send(at_ps, move, progress, self._arrived)
            else:
                self._give_up(at_ps, move)
            return
        end = self._engine(move.source).step_end_ps
        self._desk.later(at_ps if end is None else end, row, self._leave, move)

    def _leave(self, at_ps: int, row: int, move: Move) -> None:
        """Between two steps the request leaves its replica; the rest follows it."""
        if self._moves.get(row) is not move:
            return
        self._advance(move, at_ps)
        source = self._engine(move.source)
        progress = source.how_far(row)
        if progress is None or not self._reserve(move, progress):
            self._give_up(at_ps, move)
            return
        source.take(row)
        self._members.changed(move.source)
        move.carried = progress
        self._desk.moved(row, move.source, move.target)
        self._send(at_ps, move, progress, self._land)
        self.pull(at_ps)

    def _land(self, at_ps: int, row: int, move: Move) -> None:
        """All of a request's KV is there: it goes on."""
        if self._moves.get(row) is not move:
            return
        assert move.carried is not None
        self._advance(move, at_ps)
        del self._moves[row]
        self.incoming[move.target] -= 1
        self._engine(move.target).give(move.carried, at_ps)
        self._members.changed(move.target)

    # -- handing over ---------------------------------------------------------------

    def hand_over(self, at_ps: int, row: int, source: int) -> None:
        """A prefill replica has done its part of a request."""
        self._ready.append((row, source))
        self.pull(at_ps)

    def pull(self, at_ps: int) -> None:
        """Decode replicas take what they have memory for, the longest waiting first."""
        while self._ready:
            row, source = self._ready[0]
            move = self._puller(at_ps, row, source)
            if move is None:
                return
            self._ready.popleft()
            self._moves[row] = move
            self.incoming[move.target] += 1
            assert move.carried is not None
            self._send(at_ps, move, move.carried, self._pulled)

    def _puller(self, at_ps: int, row: int, source: int) -> Move | None:
        """The next decode replica in turn that has memory for a request."""
        n = len(self._decoders)
        progress = self._engine(source).how_far(row)
        assert progress is not None
        for step in range(1, n + 1):
            place = (self._last + step) % n
            target = self._decoders[place]
            if self._members.engines[target] is None:
                continue
            move = Move(row, source, target, handed=True, carried=progress)
            self._desk.advance(target, at_ps)
            if self._members.fits(target, row) and self._reserve(move, progress):
                self._last = place
                return move
        return None

    def _pulled(self, at_ps: int, row: int, move: Move) -> None:
        """The KV has arrived: the prefill replica does not need its copy any more."""
        if self._moves.get(row) is not move:
            return
        self._desk.advance(move.source, at_ps)
        self._engine(move.source).let_go(row)
        self._members.changed(move.source)
        self._desk.moved(row, move.source, move.target)
        self._land(at_ps, row, move)

    # -- losses ---------------------------------------------------------------------

    def lose(self, at_ps: int, index: int) -> list[Carried]:
        """A replica is about to be lost, and all that is on its way to or from it.

        Returns the requests that had left their replica and whose KV is nowhere now.
        """
        found = []
        for move in list(self._moves.values()):
            if index not in (move.source, move.target):
                continue
            del self._moves[move.row]
            self.incoming[move.target] -= 1
            if move.target != index:
                self._desk.advance(move.target, at_ps)
                self._engine(move.target).cancel(move.row)
                self._members.changed(move.target)
            elif move.handed:
                self._ready.appendleft((move.row, move.source))
            if move.carried and not move.handed:
                found.append(move.carried)
        self._ready = deque(each for each in self._ready if each[1] != index)
        return found

    # -- parts ------------------------------------------------------------------------

    def _engine(self, index: int) -> Replica:
        engine = self._members.engines[index]
        assert engine is not None
        return engine

    def _advance(self, move: Move, at_ps: int) -> None:
        if not move.carried:
            self._desk.advance(move.source, at_ps)
        self._desk.advance(move.target, at_ps)

    def _tokens(self, progress: Carried) -> int:
        """Tokens whose KV is in memory between two steps."""
        return self._prompt_tokens[progress.row] + progress.generated - 1

    def _reserve(self, move: Move, progress: Carried) -> bool:
        """Have the target keep the memory that the request holds now."""
        blocks = -(-self._tokens(progress) // self._block_tokens)
        has = self._engine(move.target).reserve(move.row, blocks)
        self._members.changed(move.target)
        return has

    def _give_up(self, at_ps: int, move: Move) -> None:
        """The request stays where it is; others may have the memory."""
        del self._moves[move.row]
        self.incoming[move.target] -= 1
        self._engine(move.target).cancel(move.row)
        self._members.changed(move.target)
        self.pull(at_ps)

    def _send(self, at_ps: int, move: Move, progress: Carried, then: Then) -> None:
        """Copy what the target does not have, one token at least."""
        tokens = max(1, self._tokens(progress) - move.sent)
        if self._fleet.contiguous:
            pieces = [Pieces(1, tokens * self._fleet.kv_bytes)]
        else:
            block = self._block_tokens * self._fleet.kv_bytes
            pieces = [Pieces(-(-tokens // self._block_tokens), block)]
        source, target = self._ports[move.source], self._ports[move.target]
        start = max(at_ps, source.free_ps(OUT), target.free_ps(BACK))
        done = source.send(pieces, start, OUT).done_ps
        target.send(pieces, start, BACK)
        move.sent += tokens
        move.stages += 1
        self._desk.later(done, move.row, then, move)
