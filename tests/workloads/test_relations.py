"""Relations of rows: renumbered, taken by rows, layered; and the tree of blocks."""

import numpy as np
import pytest

from evaluators.workloads.relations import (
    Layers,
    dense,
    is_new,
    prefixes_of,
    second_predecessor,
    taken,
)


@pytest.mark.parametrize("ids", [[], [5, 5, 3, 9, 3], [10**15, 7, 10**15]])
def test_dense_ids_count_first_appearances(ids):
    found = dense(np.array(ids, dtype=np.int64)).tolist()
    order = list(dict.fromkeys(ids))
    assert found == [order.index(item) for item in ids]


def test_small_and_large_ids_are_renumbered_alike():
    small = np.random.default_rng(0).integers(0, 50, 200)
    assert np.array_equal(dense(small), dense(small * 10**12))


def test_taken_rows_keep_what_they_share_and_tell_nothing_of_others():
    prefixes = prefixes_of(16, [[7, 8], [7, 9, 1], [], [7, 9, 1, 2]])
    found = taken(prefixes, np.array([3, 1, 2]))
    assert [found.chain(row).tolist() for row in range(3)] == [
        [0, 1, 2, 3],
        [0, 1, 2],
        [],
    ]


def test_an_id_behind_two_others_is_no_tree():
    assert second_predecessor(prefixes_of(1, [[1, 2], [1, 2, 3], [1, 4]])) is None
    assert second_predecessor(prefixes_of(1, [[1, 2], [3, 2]])) == 1
    assert second_predecessor(prefixes_of(1, [[1, 2], [2]])) == 1


def test_an_endless_cache_holds_all_but_first_appearances():
    prefixes = prefixes_of(1, [[1, 2], [1, 2, 3], [4]])
    assert is_new(prefixes).tolist() == [True, True, False, False, True, True]


def test_layers_share_whole_blocks_of_their_group_only():
    one, two = np.array([0, 0, 1]), np.array([40, 40, 40])
    layers = Layers(one, two, np.array([50, 70, 70]))
    chains = layers.prefixes(16)
    assert [chains.chain(row).tolist() for row in range(3)] == [
        [0, 1, 2],
        [0, 1, 3, 4],
        [5, 6, 7, 8],
    ]
