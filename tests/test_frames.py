import socket
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from evaluators import frames
from evaluators.frames import Channel, ClosedError, FrameError

ARRAYS = st.lists(
    st.sampled_from([np.int64, np.float64]).flatmap(
        lambda kind: arrays(kind, array_shapes(min_dims=0, max_dims=2, min_side=0))
    ),
    max_size=frames.MAX_ARRAYS,
)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


@given(ARRAYS)
def test_unpack_is_the_inverse_of_pack(sent):
    got = frames.unpack(frames.pack(sent))
    assert len(got) == len(sent)
    for one, other in zip(got, sent, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()


@settings(max_examples=300)
@given(ARRAYS, st.data())
def test_a_tampered_payload_is_arrays_or_a_frame_error(sent, data):
    payload = bytearray(frames.pack(sent))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(payload)))
    for tampered in (bytes(payload), bytes(payload[:cut])):
        try:
            got = frames.unpack(tampered)
        except FrameError:
            continue
        assert all(array.dtype in (np.int64, np.float64) for array in got)


@given(st.binary(max_size=200))
def test_garbage_is_arrays_or_a_frame_error(payload):
    try:
        frames.unpack(payload)
    except FrameError as error:
        assert str(error)


@pytest.mark.parametrize("size", [0, 1, 65_520, 65_521, 131_056, 1_000_000])
def test_a_frame_of_any_size_arrives_as_it_was_sent(pair, size):
    payload = np.arange(size, dtype=np.uint8).tobytes()
    sender = threading.Thread(
        target=Channel(pair[0], 0).send, args=(2**64 - 1, 7, payload)
    )
    sender.start()
    assert Channel(pair[1], 1 << 20).receive() == (2**64 - 1, 7, payload)
    sender.join()


def test_a_frame_above_the_cap_is_refused_before_it_is_read(pair):
    Channel(pair[0], 0).send(1, 1, bytes(101))
    with pytest.raises(FrameError, match="101 bytes; at most 100"):
        Channel(pair[1], 100).receive()


@pytest.mark.parametrize("tail", [b"", b"x" * 7, b"x" * 9, b"x" * 70_000])
def test_a_packet_unlike_its_header_is_refused(pair, tail):
    header = b"\0" * 12 + (8).to_bytes(4, "little")
    pair[0].send(header + tail)
    with pytest.raises(FrameError):
        Channel(pair[1], 100).receive()


def test_a_closed_connection_is_told_from_a_bad_frame(pair):
    pair[0].close()
    with pytest.raises(ClosedError):
        Channel(pair[1], 100).receive()


def test_waiting_goes_on_until_patience_ends(pair):
    ticks = []

    def patience():
        ticks.append(len(ticks))
        if len(ticks) == 3:
            raise TimeoutError

    pair[1].settimeout(0)
    with pytest.raises(TimeoutError):
        Channel(pair[1], 100, patience).receive()
    assert ticks == [0, 1, 2]


def answered(pair, nonce, array):
    """The packet of a flat answer, as a policy's process sends it."""
    Channel(pair[0], 0).send(nonce, frames.ANSWER, frames.pack([array]))
    return pair[1].recv(frames.PACKET_BYTES + 1)


@pytest.mark.parametrize("kind", [np.int64, np.float64])
@pytest.mark.parametrize("rows", [0, 1, 8187])
def test_a_flat_answer_is_its_array(pair, kind, rows):
    sent = np.arange(rows).astype(kind)
    pair[0].send(answered(pair, 5, sent))
    got = Channel(pair[1], 1 << 20).receive_answer(5)
    assert (got.dtype, got.shape) == (sent.dtype, sent.shape)
    assert got.tobytes() == sent.tobytes()
    assert not got.flags.writeable


def test_an_answer_to_another_question_is_no_array(pair):
    pair[0].send(answered(pair, 5, np.zeros(2)))
    assert Channel(pair[1], 100).receive_answer(6).nonce == 5


@pytest.mark.parametrize("at", range(40))
def test_no_altered_header_passes_for_a_flat_answer(pair, at):
    packet = bytearray(answered(pair, 5, np.zeros(2)))
    for value in {0, 1, 2, 255} - {packet[at]}:
        altered = packet.copy()
        altered[at] = value
        pair[0].send(altered)
        try:
            got = Channel(pair[1], 1 << 20).receive_answer(5)
        except FrameError:
            continue
        # Its type may be the other one: nothing says what the numbers were.
        as_ints = at == 24 and value == 0
        assert isinstance(got, frames.Frame) or as_ints


@pytest.mark.parametrize("size", [39, 55, 57, 64])
def test_a_flat_answer_of_another_length_is_no_array(pair, size):
    packet = answered(pair, 5, np.zeros(2))
    pair[0].send((packet + bytes(8))[:size])
    with pytest.raises(FrameError):
        Channel(pair[1], 1 << 20).receive_answer(5)
