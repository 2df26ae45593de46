import numpy as np
import pytest

from evaluators.calibration.copy_curve import affine
from evaluators.host_memory import HostMemory, Tier
from evaluators.sim.host.swap import Swap

CURVE = affine("made up", "a test", launch_ps=10, bytes_per_s=10**12, status="assumed")
"""A copy takes 10 ps and one more for each byte."""
BLOCK = 90
"""Bytes of a block, so that it takes 100 ps by itself."""


def swap(blocks=100, **memory):
    return Swap(HostMemory(blocks, BLOCK, CURVE, **memory), 50, block_tokens=4)


def preempt(host, row, tokens, now=0, *, keep=False):
    host.leave(row, now)
    return host.out(row, tokens, now, keep=keep)


def test_kv_waits_in_the_host_until_it_is_back():
    host = swap()
    host.take(1, 3)
    assert preempt(host, 1, 10)
    assert host.holds(1) == 10
    host.take(1, 3)
    assert host.back(1, 47, 1000) == 1300
    assert host.holds(1) == 0


def test_moving_out_takes_a_copy_for_each_block_and_each_tensor():
    for copies, took in ((1, 300), (3, 3 * 3 * (10 + 30))):
        host = swap(run_copies=copies)
        host.take(1, 3)
        preempt(host, 1, 12)
        assert host.begins_ps(50, 0) == took


def test_contiguous_groups_move_in_one_copy():
    host = swap(group_blocks=8)
    host.take(1, 3)
    preempt(host, 1, 12)
    assert host.begins_ps(50, 0) == 10 + 3 * BLOCK


def test_without_overlap_a_step_waits_for_every_copy():
    host = swap()
    host.take(1, 2)
    preempt(host, 1, 8)
    assert host.begins_ps(50, 0) == 200
    assert host.result().stall_ps.tolist() == [200]


def test_with_overlap_a_step_waits_for_memory_that_a_copy_has_not_left():
    host = swap(overlaps=True)
    host.take(1, 2)
    host.take(2, 3)
    preempt(host, 1, 8)
    preempt(host, 2, 12)
    assert host.begins_ps(5, 0) == 0
    assert host.begins_ps(3, 0) == 200
    assert host.begins_ps(2, 0) == 500


def test_a_return_begins_once_the_host_has_the_kv_and_its_memory_was_left():
    host = swap(overlaps=True, is_duplex=True)
    host.take(1, 2)
    preempt(host, 1, 8)
    host.take(1, 2)
    assert host.back(1, 48, 0) == 200 + 200
    host.take(2, 48)
    preempt(host, 2, 192, 500)
    preempt(host, 1, 8, 500)
    host.take(1, 2)
    assert host.back(1, 48, 500) == 500 + 48 * 100 + 200 + 200
    host.take(3, 48)
    preempt(host, 3, 192, 6000)
    host.take(2, 48)
    assert host.back(2, 0, 6000) == 6000 + 2 * 48 * 100


def test_a_kept_copy_spares_all_but_what_is_new():
    for keep, moved in ((False, 5), (True, 3)):
        host = swap()
        host.take(1, 3)
        preempt(host, 1, 10, keep=keep)
        before = host.result().out_bytes
        host.take(1, 3)
        host.back(1, 47, 0)
        host.take(1, 2)
        preempt(host, 1, 17, now=10_000, keep=keep)
        assert host.result().out_bytes - before == moved * BLOCK
        assert host.result().kept_laws


def test_a_request_that_leaves_before_it_is_back_moves_nothing_out():
    host = swap(overlaps=True)
    host.take(1, 3)
    preempt(host, 1, 10)
    host.take(1, 3)
    landed = host.back(1, 47, 1000)
    before = host.result().out_bytes
    preempt(host, 1, 10, now=1001)
    assert host.result().out_bytes == before
    assert host.begins_ps(2, 1001) == landed


def test_kept_copies_make_room_the_oldest_first_and_waiting_kv_never():
    host = swap(blocks=6)
    for row in (1, 2):
        host.take(row, 2)
        preempt(host, row, 8, keep=True)
        host.take(row, 2)
        host.back(row, 40, 0)
    host.take(3, 3)
    assert preempt(host, 3, 12, now=10_000)
    assert (host.result().end_blocks, host.result().peak_blocks) == (5, 5)
    host.take(4, 2)
    assert preempt(host, 4, 8, now=10_000)
    assert [host.holds(row) for row in (3, 4)] == [12, 8]
    host.take(5, 2)
    assert not preempt(host, 5, 8, now=10_000)
    assert host.holds(5) == 0
    assert host.result().refused == 1


def test_kv_without_room_in_the_host_waits_in_the_tier_below_and_comes_back():
    host = swap(blocks=3, below=(Tier("cxl", 4 * BLOCK, CURVE),))
    for row in (1, 2):
        host.take(row, 3)
        assert preempt(host, row, 12, 300 * row)
    down = 10 + 3 * BLOCK
    assert host.begins_ps(50, 600) == 600 + down + 300
    assert [host.holds(row) for row in (1, 2)] == [12, 12]
    host.take(1, 3)
    assert host.back(1, 47, 2000) == 2000 + down + 300
    host.take(3, 3)
    assert preempt(host, 3, 12, 5000)
    host.take(4, 2)
    assert not preempt(host, 4, 8, 5000)
    assert host.result().tiers == {"cxl": (2 * 3 * BLOCK, 3 * BLOCK)}
    assert host.result().kept_laws


def test_a_request_back_from_below_that_leaves_before_it_landed_moves_out_after():
    host = swap(blocks=3, overlaps=True, below=(Tier("cxl", 9 * BLOCK, CURVE),))
    for row in (1, 2):
        host.take(row, 3)
        preempt(host, row, 12)
    host.take(1, 3)
    landed = host.back(1, 47, 2000)
    assert preempt(host, 1, 12, 2001)
    host.take(1, 3)
    assert host.back(1, 47, 2001) >= landed + 2 * 300
    assert host.result().kept_laws


@pytest.mark.parametrize("seed", range(20))
def test_no_sequence_of_moves_breaks_a_law(seed):
    rng = np.random.default_rng(seed)
    host = swap(
        blocks=int(rng.integers(5, 60)),
        overlaps=bool(rng.integers(2)),
        is_duplex=bool(rng.integers(2)),
        group_blocks=int(rng.choice([1, 4])),
        below=(Tier("cxl", 20 * BLOCK, CURVE), Tier("ssd", 30 * BLOCK, CURVE))[
            : seed % 3
        ],
    )
    running, waiting, now, free = {}, {}, 0, 50
    for row in range(200):
        now += int(rng.integers(0, 400))
        move = rng.random()
        if move < 0.4 and free >= 4:
            tokens = int(rng.integers(1, 4 * min(free, 12) + 1))
            running[row] = tokens
            host.take(row, -(-tokens // 4))
            free -= -(-tokens // 4)
        elif move < 0.7 and running:
            row, tokens = running.popitem()
            free += -(-tokens // 4)
            if preempt(host, row, tokens, now, keep=bool(rng.integers(2))):
                waiting[row] = tokens
                assert host.holds(row) == tokens
        elif waiting and -(-max(waiting.values()) // 4) <= free:
            row, tokens = waiting.popitem()
            free -= -(-tokens // 4)
            host.take(row, -(-tokens // 4))
            assert host.back(row, free, now) > now
            running[row] = tokens
        elif running:
            row, tokens = running.popitem()
            free += -(-tokens // 4)
            host.drop(row)
        assert host.begins_ps(free, now) >= now
        assert host.result().kept_laws
    for row in (*running, *waiting):
        host.drop(row)
