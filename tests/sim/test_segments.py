import numpy as np
import pytest

from evaluators.sim.host.segments import Groups, Paged, allocator

TOTAL = 200


def played(seed, group_blocks=16, steps=400):
    """Random takes and releases; yields the allocator and what each row holds."""
    rng = np.random.default_rng(seed)
    groups, held = Groups(TOTAL, group_blocks), {}
    for _ in range(steps):
        free = TOTAL - sum(held.values())
        if held and (rng.random() < 0.2 or not free):
            row = int(rng.choice(list(held)))
            groups.release(row)
            del held[row]
        else:
            row, n = int(rng.integers(12)), int(rng.integers(1, min(free, 40) + 1))
            groups.take(row, n)
            held[row] = held.get(row, 0) + n
        yield groups, held


@pytest.mark.parametrize("seed", range(10))
def test_every_row_holds_what_it_took_and_no_block_has_two_owners(seed):
    for groups, held in played(seed):
        blocks = {row: groups.blocks(row) for row in held}
        assert {row: len(own) for row, own in blocks.items()} == held
        owned = [at for own in blocks.values() for at in own]
        assert len(set(owned)) == len(owned)
        assert all(0 <= at < TOTAL for at in owned)


@pytest.mark.parametrize("seed", range(10))
def test_runs_are_the_blocks_cut_where_an_address_is_skipped(seed):
    for groups, held in played(seed):
        for row in held:
            for skip in (0, 3):
                own = groups.blocks(row)[skip:]
                cuts = int((np.diff(own) != 1).sum()) + bool(own)
                runs = groups.runs(row, skip)
                assert sum(runs) == len(own)
                assert len(runs) == cuts


def test_every_free_block_can_be_had_though_groups_reserve_more():
    groups = Groups(10, 4)
    for row in range(5):
        groups.take(row, 2)
    assert sorted(at for row in range(5) for at in groups.blocks(row)) == list(
        range(10)
    )
    with pytest.raises(ValueError, match="no block is free"):
        groups.take(0, 1)


def test_a_row_that_grows_alone_stays_in_one_run():
    groups = Groups(100, 8)
    for _ in range(60):
        groups.take(1, 1)
    assert groups.runs(1) == [60]


def test_rows_that_grow_side_by_side_lie_in_runs_of_groups():
    groups, paged = Groups(1000, 16), Paged()
    for _ in range(64):
        for row in range(4):
            groups.take(row, 1)
            paged.take(row, 1)
    assert all(len(groups.runs(row)) <= 64 // 16 for row in range(4))
    assert paged.runs(0) == [1] * 64


def test_groups_of_one_block_are_blocks_by_themselves():
    paged = allocator(10, 1)
    paged.take(3, 4)
    assert (paged.runs(3), paged.runs(3, skip=3)) == ([1, 1, 1, 1], [1])
    paged.release(3)
    assert paged.runs(3) == []
