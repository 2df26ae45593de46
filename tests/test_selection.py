"""Who is improved next: never a failure while there is better, always the same draw."""

import pytest

from adrs.archive import History, Row
from adrs.selection import ENTRANTS, best, choose, field, novelty, tournament
from evaluators.evaluation import Failure
from evaluators.rng import stream


def row(slot, score, *, parents=(), failure=None, scores=None):
    return Row(0, slot, f"id{slot}", parents, score, scores or (score,), failure)


def history(*rows):
    return History(list(rows), [])


CRASH = Failure("crash", "signal 11")


def test_a_failed_trial_is_no_parent_while_another_is_valid():
    of = field(history(row(0, 0.9, failure=CRASH), row(1, 0.1), row(2, 0.2)))
    draws = stream(0, "test")
    for _ in range(50):
        chosen = choose(of, draws, 2)
        assert "id0" not in (chosen.parent, *chosen.inspirations)


def test_failed_trials_are_chosen_when_there_is_nothing_else():
    assert choose(field(history(row(0, 0.0, failure=CRASH))), stream(0), 2) == (
        "id0",
        (),
    )


def test_nothing_evaluated_is_an_error():
    with pytest.raises(ValueError, match="at least one evaluated seed"):
        choose(field(history()), stream(0), 1)


def test_a_choice_never_shows_a_policy_twice():
    of = field(history(*(row(i, i / 10) for i in range(5))))
    draws = stream(1, "test")
    for _ in range(50):
        chosen = choose(of, draws, 3)
        assert len({chosen.parent, *chosen.inspirations}) == 4


def test_equal_streams_choose_alike_and_choosing_changes_nothing():
    of = field(history(*(row(i, i / 10) for i in range(9))))
    first = [choose(of, stream(3, slot), 2) for slot in range(20)]
    assert first == [choose(of, stream(3, slot), 2) for slot in range(20)]
    assert len({chosen.parent for chosen in first}) > 2


def test_policies_that_scored_alike_everywhere_stand_once_by_the_first():
    of = field(history(row(0, 0.5, scores=(0.4, 0.6)), row(1, 0.5, scores=(0.4, 0.6))))
    assert [each.id for each in of.rows] == ["id0"]


def test_best_is_the_highest_score_and_a_tournament_prefers_it():
    rows = [row(i, i / 100) for i in range(100)]
    of = field(history(*rows))
    assert best(of, stream(0)).id == "id99"
    draws = stream(0)
    mean = sum(tournament(of, draws).slot for _ in range(2000)) / 2000
    assert abs(mean - 100 * ENTRANTS / (ENTRANTS + 1)) < 3


def test_novelty_prefers_the_better_half_with_few_children():
    children = [row(10 + i, 0.0, parents=("id1",), failure=CRASH) for i in range(30)]
    of = field(history(row(0, 0.8), row(1, 0.9), row(2, 0.1), *children))
    draws = stream(0)
    picked = [novelty(of, draws).id for _ in range(300)]
    assert "id2" not in picked
    assert picked.count("id0") > 250
