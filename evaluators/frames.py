"""Frames between engine and policy: a fixed header, then plain arrays or text.

A frame is a header (nonce, kind, payload bytes) and a payload, cut into packets of at
most ``PACKET_BYTES`` on a ``SOCK_SEQPACKET`` socket. Whoever receives trusts nothing:
sizes are held against a cap before anything is read, and a packet longer or shorter
than the header promised is an error.
"""

import functools
import math
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.views import Parts

PACKET_BYTES = 65_536
MAX_QUESTION_BYTES = 1 << 28
MAX_ANSWER_BYTES = 1 << 24
MAX_ARRAYS = 64

ANSWER, ERROR, START, SYNC = 0, 1, 2, 3
FIRST_TOLD = 1 << 14
FIRST_HOOK = 1 << 15
"""Kinds of frames; a question to hooks i and j is ``FIRST_HOOK + 2**i + 2**j``.

What hook i is only told, without an answer, is ``FIRST_TOLD + 2**i``.
"""
MAX_HOOKS = 14

_HEADER = struct.Struct("<QII")
_FLAT = struct.Struct("<QIIQ4I")
"""Header and shape of a frame that is one array of one dimension: most answers."""
_SHAPES = tuple(struct.Struct(f"<Q{4 * n}I") for n in range(MAX_ARRAYS + 1))
_TYPES = (np.dtype(np.int64), np.dtype(np.float64))
_ONE = _SHAPES[1]
_CODES = {kind.char: code for code, kind in enumerate(_TYPES)} | {"q": 0}
"""By numpy's letter; "q" is an int64, too, where C's long and long long are alike."""


class FrameError(Exception):
    """The other side sent bytes that are not a frame."""


class ClosedError(Exception):
    """The other side is gone."""


class Frame(NamedTuple):
    """One message; ``nonce`` ties an answer to its question."""

    nonce: int
    kind: int
    payload: bytes


class Channel:
    """Sends and receives frames on one socket.

    ``patience`` is called whenever the socket's own timeout passed without a byte; it
    raises to give up, and returns to go on waiting. Its default waits for ever.
    """

    __slots__ = ("_max_bytes", "_patience", "_recv", "_send", "_socket")

    def __init__(
        self,
        connected: socket.SocketType,
        max_bytes: int,
        patience: Callable[[], None] = lambda: None,
    ) -> None:
        self._socket = connected
        self._send, self._recv = connected.send, connected.recv
        self._max_bytes = max_bytes
        self._patience = patience

    def send(self, nonce: int, kind: int, payload: bytes) -> None:
        """Send one frame; raises ``ClosedError`` when nobody is there."""
        message = _HEADER.pack(nonce, kind, len(payload)) + payload
        if len(message) <= PACKET_BYTES:
            self._send_packet(message)
            return
        whole = memoryview(message)
        for start in range(0, len(message), PACKET_BYTES):
            self._send_packet(whole[start : start + PACKET_BYTES])

    def receive(self) -> Frame:
        """Next frame; raises ``FrameError`` or ``ClosedError``."""
        return self._frame(self._receive_packet())

    def receive_answer(self, nonce: int) -> "NDArray[Any] | Frame":
        """Next frame, or the array that it brings if it is a flat answer to ``nonce``.

        What is anything else, or not quite that, is left to ``Frame`` and ``unpack``.
        """
        packet = self._receive_packet()
        array = _flat_answer(packet, nonce)
        return self._frame(packet) if array is None else array

    def _frame(self, packet: bytes) -> Frame:
        if len(packet) < _HEADER.size:
            raise FrameError(f"a frame of {len(packet)} bytes is too short")
        nonce, kind, size = _HEADER.unpack_from(packet)
        if size > self._max_bytes:
            raise FrameError(f"a frame of {size} bytes; at most {self._max_bytes}")
        payload = packet[_HEADER.size :]
        if size != len(payload):
            payload += self._rest(len(packet), size - len(payload))
        return Frame(nonce, kind, payload)

    def _rest(self, first: int, missing: int) -> bytes:
        pieces = []
        last = first
        while missing > 0:
            if last != PACKET_BYTES:
                raise FrameError(f"a packet of {last} bytes; expected {PACKET_BYTES}")
            piece = self._receive_packet()
            pieces.append(piece)
            last = len(piece)
            missing -= last
        if missing < 0:
            raise FrameError(f"{-missing} bytes more than announced")
        return b"".join(pieces)

    def _send_packet(self, packet: bytes | memoryview) -> None:
        while True:
            try:
                self._send(packet)
                return
            except BlockingIOError:
                self._patience()
            except ConnectionError:
                raise ClosedError from None

    def _receive_packet(self) -> bytes:
        while True:
            try:
                packet = self._recv(PACKET_BYTES + 1)
            except BlockingIOError:
                self._patience()
                continue
            except ConnectionError:
                raise ClosedError from None
            if not packet:
                raise ClosedError
            return packet


def pack(arrays: Sequence[NDArray[Any]]) -> bytes:
    """Payload of up to ``MAX_ARRAYS`` int64 or float64 arrays of at most 2 dimensions.

    Layout: how many, then (type, dimensions, length, width) of each, then their values
    in C order; every part is a multiple of 8 bytes long.
    """
    if len(arrays) == 1 and arrays[0].ndim == 1:
        # What most answers are, and much the faster.
        (flat,) = arrays
        return _ONE.pack(1, _CODES[flat.dtype.char], 1, flat.size, 1) + flat.tobytes()
    numbers = [len(arrays)]
    values = [b""]
    for array in arrays:
        numbers += (_CODES[array.dtype.char], array.ndim, *array.shape, 1, 1)[:4]
        values.append(array.tobytes())
    values[0] = _SHAPES[len(arrays)].pack(*numbers)
    return b"".join(values)


def unpack(payload: bytes) -> Parts:
    """Inverse of ``pack``, as read-only arrays; raises ``FrameError``."""
    count = int.from_bytes(payload[:8], "little")
    if len(payload) < 8 or count > MAX_ARRAYS:
        raise FrameError(f"{len(payload)} bytes do not begin with a count of arrays")
    layout = _layout(payload[: _SHAPES[count].size], count)
    if layout.size != len(payload):
        raise FrameError(f"{len(payload)} bytes; their shapes say {layout.size}")
    return tuple([
        np.ndarray(shape, kind, payload, start) for kind, start, shape in layout.arrays
    ])


def _flat_answer(packet: bytes, nonce: int) -> NDArray[Any] | None:
    """The array of an answer that is a single one of one dimension, in one packet."""
    bytes_there = len(packet)
    if not _FLAT.size <= bytes_there <= PACKET_BYTES:
        return None
    echo, kind, size, count, code, dimensions, length, width = _FLAT.unpack_from(packet)
    if (
        echo != nonce
        or (kind, count, dimensions, width) != (ANSWER, 1, 1, 1)
        or code >= len(_TYPES)
        or size != bytes_there - _HEADER.size
        or bytes_there != _FLAT.size + 8 * length
    ):
        return None
    return np.ndarray((length,), _TYPES[code], packet, _FLAT.size)


class Layout(NamedTuple):
    """Bytes of a payload, and (type, first byte, shape) of each of its arrays."""

    size: int
    arrays: tuple[tuple[np.dtype[Any], int, tuple[int, ...]], ...]


@functools.lru_cache(maxsize=4096)
def _layout(shapes: bytes, count: int) -> Layout:
    if len(shapes) < _SHAPES[count].size:
        raise FrameError(f"{len(shapes)} bytes do not hold {count} shapes")
    numbers = _SHAPES[count].unpack(shapes)
    at = len(shapes)
    arrays: list[tuple[np.dtype[Any], int, tuple[int, ...]]] = []
    for i in range(1, len(numbers), 4):
        code, dimensions, length, width = numbers[i : i + 4]
        shape = (length, width)[:dimensions]
        if code >= len(_TYPES) or dimensions > 2 or length * width != math.prod(shape):
            raise FrameError(f"array {len(arrays)} of {count} is malformed")
        arrays.append((_TYPES[code], at, shape))
        at += 8 * length * width
    return Layout(at, tuple(arrays))
