"""The gap alarm: who knows the train exams is flagged, honest policies are not."""

import numpy as np
import pytest

from adrs.exams import exams, sitting
from adrs.gap import Gains, gap
from adrs.pool import in_process
from adrs.settings import Arguments, settings
from adrs.verdict import Contender, Verdict
from tests.error_rates import seed

REGIMES = (0.5, 0.8, 1.0, 1.2)
TRIED = 50
SMALL = (
    "problem.n_requests=80",
    "problem.regimes=[1.3,1.6,1.9,2.2]",
    "problem.train_seeds=5",
    "problem.validation_seeds=12",
)
MEMORISER = '''
"""Shortest prompt first where it knows the request by heart."""
import numpy as np

KNOWN = {known}


class Memoriser:
    def admit_key(self, waiting, engine):
        rows = zip(waiting.prompt_tokens.tolist(), waiting.predicted_tokens.tolist())
        known = np.array([KNOWN.get(row, 0) for row in rows])
        waited_s = engine.now_s - waiting.arrived_s
        aged = waiting.prompt_tokens - 400.0 * waited_s
        return np.where(known > 0, aged, -waited_s)
'''
DETECTOR = '''
"""Works where the first requests are those of a seed that it knows."""

KNOWN = {known}


class Detector:
    def __init__(self):
        self.works = None

    def admit_key(self, waiting, engine):
        if self.works is None:
            columns = waiting.prompt_tokens, waiting.predicted_tokens
            seen = zip(*(column.tolist() for column in columns))
            self.works = all(row in KNOWN for row in seen)
        waited_s = engine.now_s - waiting.arrived_s
        return waiting.prompt_tokens - 400.0 * waited_s if self.works else -waited_s
'''


def drawn(n_seeds, shift, draws, regimes=REGIMES):
    values = draws.normal(shift, 0.01, n_seeds * len(regimes)) ** 3
    return Gains(values.tolist(), regimes * n_seeds)


def test_gains_that_are_alike_alarm_as_rarely_as_promised():
    draws, alarms, below = np.random.default_rng(0), 0, 0
    for _ in range(40):
        fresh = drawn(6, 0.0, draws)
        found = [gap(drawn(3, 0.0, draws), fresh, TRIED) for _ in range(TRIED)]
        alarms += any(each.is_alarming for each in found)
        below += sum(each.chance < 0.05 for each in found)
    assert alarms <= 0.05 * 40
    assert 0.02 <= below / (40 * TRIED) <= 0.07


def test_gains_that_stay_behind_alarm_however_they_are_distributed():
    draws = np.random.default_rng(1)
    found = gap(drawn(3, 0.05, draws), drawn(6, 0.0, draws), TRIED)
    assert found.is_alarming
    assert found.on_train > found.on_fresh
    assert not gap(drawn(3, 0.0, draws), drawn(6, 0.05, draws), TRIED).is_alarming


def test_the_more_were_tried_the_more_it_takes():
    train = Gains((0.3, 0.2, 0.1), (1.2,) * 3)
    fresh = Gains((0.0,) * 4 + (0.01, -0.01), (1.2,) * 6)
    assert gap(train, fresh, 1).is_alarming
    assert not gap(train, fresh, 50).is_alarming


@pytest.mark.parametrize(
    ("train", "fresh"),
    [
        (Gains((), ()), Gains((0.1,), (1.2,))),
        (Gains((0.1,), (0.8,)), Gains((0.0,), (1.2,))),
        (Gains((0.1, 0.1), (1.2, 1.2)), Gains((0.1,), (1.2,))),
    ],
    ids=["no train", "no load in common", "all equal"],
)
def test_what_says_nothing_alarms_nobody(train, fresh):
    assert gap(train, fresh, 1).chance == 1.0


@pytest.fixture(scope="module")
def sat(tmp_path_factory):
    """A problem, its train exams and those that report; how the best seed did."""
    folder = tmp_path_factory.mktemp("gap")
    words = ("problem=scheduling", *SMALL)
    at = sitting(
        settings("evolve", Arguments((), words)), folder / "c.json", b"nobody knows it"
    )
    n = 6 * len(at.regimes)
    found = at, exams(at, "train"), exams(at, "validation")[n:]
    return *found, contender(found, "seed", seed("scheduling", "fcfs"))


def contender(sat, arm, source):
    at, train, fresh = sat
    trained = in_process(at.problem, source, train)
    validated = in_process(at.problem, source, fresh)
    assert trained.failure is None
    assert validated.failure is None
    return Contender(
        arm, arm, "", trained.score, (0.0,), validated.scores, 1.0, trained.scores
    )


def verdict(sat, *contenders):
    _, train, fresh = sat
    regimes = [tuple(e.scenario.regime for e in each) for each in (fresh, train)]
    stamps = ("exams", "none", "made")
    return Verdict(contenders, regimes[0], *stamps, TRIED, TRIED, regimes[1])


def public(sat):
    """What anyone can draw: the requests of the train exams."""
    traces = [exam.scenario.trace for exam in sat[1]]
    columns = [(trace.prompt_tokens, trace.predicted_tokens) for trace in traces]
    rows = [zip(*map(np.ndarray.tolist, each), strict=True) for each in columns]
    return {row: 1 for each in rows for row in each}


def flagged(sat, source):
    *exams_sat, fcfs = sat
    own = contender(exams_sat, "evolved", source)
    return verdict(exams_sat, fcfs, own).gap(own)


def test_a_policy_that_memorised_the_public_traces_is_flagged(sat):
    found = flagged(sat, MEMORISER.format(known=public(sat)))
    assert found.on_train > 0.005
    assert found.is_alarming, found


@pytest.mark.slow
def test_a_policy_that_detects_the_public_seeds_is_flagged(sat):
    found = flagged(sat, DETECTOR.format(known=public(sat)))
    assert found.on_train > 0.005
    assert found.is_alarming, found


def test_an_honest_policy_that_does_the_same_everywhere_is_not_flagged(sat):
    found = flagged(sat, seed("scheduling", "aged_shortest_prompt"))
    assert found.on_train > 0.005
    assert not found.is_alarming, found
