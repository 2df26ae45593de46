import numpy as np
import pytest

from evaluators.calibration.copy_curve import affine
from evaluators.sim.host.links import BACK, OUT, Link, Pieces, pieces_of

CURVE = affine("made up", "a test", launch_ps=50, bytes_per_s=10**12, status="assumed")
"""A copy takes 50 ps and one more for each byte."""


def test_a_transfer_takes_the_sum_of_its_copies():
    link = Link(CURVE)
    assert link.send([Pieces(3, 10), Pieces(1, 100)], 7) == (7, 7 + 3 * 60 + 150)


def test_transfers_queue_in_the_order_of_the_calls():
    link = Link(CURVE)
    first = link.send([Pieces(1, 100)], 0)
    second = link.send([Pieces(1, 100)], 10)
    later = link.send([Pieces(1, 100)], 1000)
    assert second == (first.done_ps, first.done_ps + 150)
    assert later == (1000, 1150)


def test_a_duplex_link_serves_its_directions_at_once_and_another_one_does_not():
    for is_duplex, start in ((True, 0), (False, 150)):
        link = Link(CURVE, is_duplex=is_duplex)
        link.send([Pieces(1, 100)], 0, OUT)
        assert link.send([Pieces(1, 100)], 0, BACK).start_ps == start


def test_nothing_to_move_lands_at_once_but_not_before_what_was_asked_for():
    link = Link(CURVE)
    assert link.send([], 5) == (5, 5)
    link.send([Pieces(1, 100)], 5)
    assert link.send([], 6).done_ps == 155


@pytest.mark.parametrize("is_duplex", [True, False])
def test_no_sequence_of_transfers_beats_the_bandwidth(is_duplex):
    rng = np.random.default_rng(0)
    link = Link(CURVE, is_duplex=is_duplex)
    now = sent = 0
    for _ in range(500):
        now += int(rng.integers(0, 200))
        pieces = Pieces(int(rng.integers(1, 4)), int(rng.integers(1, 300)))
        sent += pieces.copies * pieces.size_bytes
        done = link.send([pieces], now, int(rng.integers(2))).done_ps
        assert done > now
        assert link.keeps_its_bandwidth()
    assert sum(link.moved_bytes) == sent


def test_a_contiguous_run_takes_fewer_copies_and_no_fewer_bytes():
    scattered = pieces_of([1] * 8, run_copies=4, block_bytes=64)
    together = pieces_of([8], run_copies=4, block_bytes=64)
    assert [sum(p.copies for p in found) for found in (scattered, together)] == [32, 4]
    moved = [sum(p.copies * p.size_bytes for p in f) for f in (scattered, together)]
    assert moved == [512, 512]
    times = [Link(CURVE).send(found, 0).done_ps for found in (scattered, together)]
    assert times == [32 * (50 + 16), 4 * (50 + 128)]
