"""Which outputs must be found while they grow, and that a router hears of them then."""

from dataclasses import replace

import numpy as np
import pytest

from evaluators.fleet import Fleet, Member
from evaluators.sim.cache.sought import sought_tokens
from evaluators.sim.cluster.engines import fast, plain
from evaluators.sim.cluster.fleet import simulate_fleet
from evaluators.workloads.prefixes import Sessions
from tests.sim.test_caching import sharing
from tests.sim.test_routing import Watching


def sought(requests, chains, after=None):
    """Of (arrival, prompt, output) with these blocks of two tokens."""
    trace = sharing(requests, chains, block_tokens=2).trace
    if after is not None:
        n = len(after)
        trace = replace(trace, sessions=Sessions(np.array(after), *np.zeros((2, n))))
    return sought_tokens(trace).tolist()


def test_prompts_that_share_prefixes_seek_no_output():
    assert sought([(0, 4, 9), (0, 5, 9)], [[1, 2], [1, 2]]) == [0, 0]


def test_what_another_continues_is_sought_up_to_the_last_such_block():
    first, other = (0, 3, 9), (0, 6, 9)
    assert sought([first, other], [[1, 2, 3, 4], [1, 2, 5]]) == [4, 0]
    assert sought([first, other], [[1, 2, 3, 4], [1, 2, 3]]) == [6, 0]


def test_what_two_generate_is_sought_of_both():
    assert sought([(0, 2, 9)] * 2, [[1, 2], [1, 2]]) == [4, 4]


def test_the_next_turns_of_a_session_come_too_late_to_seek():
    turns = [(0, 2, 4), (0, 6, 4), (0, 10, 4)]
    chains = [[1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]
    assert sought(turns, chains, [-1, 0, 1]) == [0, 0, 0]
    assert sought(turns, chains, [-1, 0, 0]) == [0, 10, 0]
    assert sought(turns, chains, [-1, -1, 0]) == [6, 10, 0]
    assert sought([*turns, turns[0]], [*chains, [1, 2]], [-1, 0, 1, -1]) == [4, 0, 0, 4]


@pytest.mark.parametrize("make", [fast, plain])
def test_reports_list_the_blocks_of_an_output_that_still_grows(make):
    """At the only report before the next turn, 36 of 63 tokens are there."""
    turns = sharing([(0, 4, 60), (0, 66, 1)], [range(32), range(33)], block_tokens=2)
    slow = replace(turns.step_time, tokens_ps=(31 * 10**9,))
    sessions = Sessions(np.array([-1, 0]), *np.zeros((2, 2)))
    members = (Member(turns.deployment, slow),) * 2
    fleet = Fleet(members, report_delay_s=1.0)
    exam = replace(turns, step_time=slow, fleet=fleet)
    exam = replace(exam, trace=replace(turns.trace, sessions=sessions))
    watching = Watching(0)
    simulate_fleet(exam, watching, make)
    seen = [replicas.cached_tokens.tolist() for _, replicas in watching.seen]
    assert seen == [[0, 0], [36, 0]]
