"""A growing curve: no point of it is ever another one later, and there are few."""

import random

from adrs.curve import Curve, whole
from adrs.history import Row
from evaluators.evaluation import Dropped, Failure


def rows(n, slots=7):
    draw = random.Random(1)
    made = []
    for number in range(n):
        failure = Failure("exception", "no") if draw.random() < 0.2 else None
        score = 0.0 if failure else draw.random()
        dropped = Dropped(0, (-1.0, -0.5)) if draw.random() < 0.1 else None
        at = number // slots, number % slots, str(number)
        made.append(Row(*at, (), score, (score,), failure, dropped))
    return made


def flat(points):
    return {(name, *point) for name in points for point in points[name].items()}


def test_the_points_of_every_beginning_are_among_those_of_the_end():
    all_rows, curve = rows(1500), Curve()
    end, told = flat(whole(all_rows)), set()
    for start in range(0, 1500, 11):
        curve.take(all_rows[start : start + 11])
        new = flat(curve.points)
        assert new <= end - told
        told |= new
        curve.told()
    curve.end()
    assert told | flat(curve.points) == end


def test_the_last_points_are_the_best_score_and_the_counts():
    made = rows(1234)
    points = whole(made)
    best = max(row.score for row in made if row.dropped is None)
    failures = sum(row.failure is not None for row in made)
    assert points["best_train"][1234] == best
    assert points["valid_share"][1234] == 1 - failures / 1234
    assert points["trials"][made[-1].round] == 1234
    assert points["failures"][made[-1].round] == failures


def test_a_round_is_a_point_once_it_is_over_with_what_it_failed():
    made, curve = rows(20), Curve()
    curve.take(made[:13])
    assert curve.points["trials"] == {0: 7}
    curve.take(made[13:15])
    failed = [sum(row.failure is not None for row in made[:n]) for n in (7, 14)]
    assert curve.points["trials"] == {0: 7, 1: 14}
    assert curve.points["failures"] == {0: failed[0], 1: failed[1]}


def test_a_thousand_times_the_trials_are_a_few_times_the_points():
    few, many = (len(whole(rows(n))["best_train"]) for n in (100, 100_000))
    assert few == 100
    assert many < 8 * few


def test_no_trials_are_no_points():
    assert not whole([])
