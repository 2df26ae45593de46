"""A budget is a promise: what is in flight counts, and paid work is finished."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adrs.budget import Budget, Cost, Limits


def test_what_is_in_flight_leaves_no_room():
    budget = Budget(Limits(evaluations=3))
    budget.reserve(Cost(3))
    assert budget.proposals(8) == 0
    assert budget.shortage(budget.call) == "evaluations"
    budget.spend(Cost(1), Cost())
    assert budget.proposals(8) == 1


def test_reserving_what_does_not_fit_is_refused():
    budget = Budget(Limits(evaluations=3))
    with pytest.raises(ValueError, match="exceed the budget of evaluations"):
        budget.reserve(Cost(4))


def test_the_first_round_asks_once_when_calls_cost_an_unknown_price():
    budget = Budget(Limits(usd=10.0))
    assert budget.proposals(8) == 1
    budget.spend(Cost(), Cost(usd=2.0))
    assert budget.proposals(8) == 4


def test_seconds_are_those_of_the_given_clock_and_of_earlier_processes():
    now_s = [100.0]
    budget = Budget(Limits(seconds=10.0), clock=lambda: now_s[0], elapsed_s=4.0)
    now_s[0] += 5.0
    assert budget.has_room(Cost(1))
    now_s[0] += 1.0
    assert budget.shortage(Cost(1)) == "seconds"
    budget.forgive(3.0)
    assert budget.elapsed_s == 7.0
    assert budget.has_room(Cost(1))


@given(
    limit=st.integers(1, 50),
    wanted=st.integers(1, 9),
    rejected=st.lists(st.booleans(), min_size=200, max_size=200),
)
def test_evaluations_are_spent_to_the_last_and_never_beyond(limit, wanted, rejected):
    budget = Budget(Limits(evaluations=limit))
    flags = iter(rejected)
    while n := budget.proposals(wanted):
        budget.reserve(Cost(n))
        for _ in range(n):
            spent = Cost() if next(flags, False) else Cost(1)
            budget.spend(Cost(1), spent)
        assert budget.spent.evaluations <= limit
    assert budget.spent.evaluations == limit
    assert budget.reserved == Cost()
