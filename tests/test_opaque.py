"""Ids: distinct, keyed, blind to the future."""

import numpy as np

from evaluators.opaque import distinct, opaque_ids, renamed


def test_ids_are_distinct_and_survive_as_floats():
    ids = opaque_ids(50_000, b"key")
    assert len(np.unique(ids)) == 50_000
    assert ids.min() >= 0
    assert np.array_equal(ids, ids.astype(np.float64).astype(np.int64))


def test_another_key_gives_unrelated_ids_and_the_same_key_the_same():
    one, other = opaque_ids(1000, b"one"), opaque_ids(1000, b"other")
    assert np.array_equal(one, opaque_ids(1000, b"one"))
    assert not np.isin(one, other).any()
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1
    assert abs(np.corrcoef(one, np.arange(1000))[0, 1]) < 0.1


def test_more_ids_begin_with_the_same_also_where_some_had_to_be_drawn_again():
    assert np.array_equal(opaque_ids(99, b"k"), opaque_ids(300, b"k")[:99])
    drawn = np.random.default_rng(0).integers(0, 64, 60)
    assert len(np.unique(drawn)) < 45
    found = distinct(drawn.copy(), b"k", 6)
    assert len(np.unique(found)) == 60
    assert found.max() < 64
    assert np.array_equal(found[:40], distinct(drawn[:40].copy(), b"k", 6))


def test_equal_things_have_equal_ids_that_no_later_thing_changes():
    values = np.array([7, 3, -1, 7, 9, 3])
    ids = renamed(values, b"k")
    assert ids[0] == ids[3]
    assert ids[1] == ids[5]
    assert ids[2] == -1
    assert len(np.unique(ids)) == 4
    later = renamed(np.concatenate((values, [0, 1, 2, 8])), b"k")
    assert np.array_equal(later[:6], ids)
