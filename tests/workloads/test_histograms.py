"""Histograms: every request is in one bar, and bars are where they say."""

from dataclasses import replace

import numpy as np
import pytest

from evaluators.workloads import agents, documents, hot_prefix
from evaluators.workloads.histograms import histograms, lengths, reuse


def test_every_number_is_in_one_bar_and_each_doubling_has_its_parts():
    numbers = np.arange(1, 5000)
    for parts in (1, 4):
        found = lengths("requests by size", "tokens", numbers, parts)
        assert found.heights.sum() == len(numbers)
        assert {64, 128, 4096} <= set(found.edges.tolist())
        assert np.sum((found.edges >= 64) & (found.edges < 128)) == parts


@pytest.mark.parametrize("number", [1, 2, 63, 64, 65])
def test_one_number_is_one_bar(number):
    found = lengths("requests by size", "tokens", np.array([number]), 4)
    assert found.heights.tolist() == [1]
    assert found.edges[0] <= number < found.edges[1]


def test_blocks_count_with_all_their_uses():
    found = reuse(np.array([7, 7, 7, 7, 1, 2]), 1)
    assert found.edges.tolist() == [1, 2, 4, 8]
    assert found.heights.tolist() == [2, 0, 4]


def test_arrivals_are_a_rate():
    trace = hot_prefix.build().draw("train", 0, 4.0, 1000)
    arrived = histograms(trace, 10, 1)[0]
    widths = np.diff(arrived.edges)
    assert np.sum(arrived.heights * widths) == pytest.approx(1000)
    assert arrived.edges[-1] == pytest.approx(250)


def test_there_is_one_of_each_thing_that_the_trace_has():
    full = agents.build(prefix_tokens=160).draw("train", 0, 1.0, 200)
    assert len(histograms(full, 10, 1)) == 5
    assert len(histograms(replace(full, sessions=None), 10, 1)) == 4
    assert len(histograms(replace(full, sessions=None, prefixes=None), 10, 1)) == 3


def test_what_comes_at_once_is_in_the_first_window():
    arrived = histograms(documents.build().draw("train", 0, 1.0, 50), 10, 1)[0]
    assert np.flatnonzero(arrived.heights).tolist() == [0]
