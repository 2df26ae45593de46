"""How often verdicts err: real scores of real seeds, resampled two hundred times."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from adrs.exams import scenarios, sitting
from adrs.intervals import Gain, gain, gains_by
from adrs.pool import in_process
from adrs.settings import Arguments, settings
from adrs.verdict import Comparison, Contender, Verdict
from evaluators.problem import Exam

ROOT = Path(__file__).parents[1]
REPETITIONS = 200
BLURRED = '''
"""Shortest prompt first, aged, blurred by luck: all salts are worth the same."""


class Blurred:
    salt = {salt}

    def admit_key(self, waiting, engine):
        factor = (2 * self.salt + 1) * 7919
        luck = (waiting.id % 1000003 * factor % 1000003) / 1000003
        waited_s = engine.now_s - waiting.arrived_s
        return waiting.prompt_tokens + 400.0 * luck - 400.0 * waited_s
'''
"""A policy of no consequence: which requests are lucky says nothing of them."""


class Scores(NamedTuple):
    """Of shape (seeds, regimes, policies)."""

    values: np.ndarray
    regimes: tuple[float, ...]

    def recentred(self):
        """Every policy moved so that it is as good as the first at each regime."""
        means = self.values.mean(axis=0)
        return self._replace(values=self.values - means + means[:, :1])


def seed(problem, name):
    return (ROOT / f"seeds/{problem}/{name}.py").read_text()


def scored(problem, sources, n_seeds, folder, *words):
    """Scores of validation scenarios that a fixed secret draws."""
    words = (f"problem={problem}", f"problem.validation_seeds={n_seeds}", *words)
    typed = settings("evolve", Arguments((), words))
    at = sitting(typed, folder / "capacities.json", b"the seeds of error rates")
    drawn = scenarios(at, "validation")
    sat = [Exam(scenario, at.problem.standard(scenario)) for scenario in drawn]
    values = np.array([in_process(at.problem, text, sat).scores for text in sources])
    shape = (n_seeds, len(at.regimes), len(sources))
    return Scores(values.T.reshape(shape), at.regimes)


def self_wins(scores, n_seeds):
    """Share of times that the first policy beats itself on other seeds."""
    draws = np.random.default_rng(0)
    wins = 0
    for _ in range(REPETITIONS):
        order = draws.permutation(len(scores.values))[: 2 * n_seeds]
        own, other = scores.values[order, :, 0].reshape(2, -1)
        wins += is_better(own, other, scores.regimes)
    return wins / REPETITIONS


def null_claims(scores, n_train, n_validation):
    """Share of campaigns that claim a gain where all policies are worth the same.

    As campaigns go: the best of all on train, three of them on one half of validation,
    the winner's gain on the other. Seeds are drawn from those there are; as nothing but
    luck tells the policies apart, who is who is drawn anew in each scenario.
    """
    pool, draws = scores.values, np.random.default_rng(1)
    claims = 0
    for _ in range(REPETITIONS):
        rows = draws.integers(len(pool), size=n_train + n_validation)
        shuffled = draws.permuted(pool[rows], axis=2)
        train, sat = shuffled[:n_train].mean(axis=(0, 1)), shuffled[n_train:]
        best = 1 + np.argsort(-train[1:])[:3]
        verdict = Verdict(
            tuple(_contender(i, train, sat) for i in (0, *best.tolist())),
            scores.regimes * (n_validation - n_validation // 2),
            "exams",
            "none",
            "made",
        )
        winner, reference = verdict.winner, verdict.best_seed
        if winner.validation > reference.validation:
            claims += verdict.compare(winner, reference).is_better
    return claims / REPETITIONS


def false_vetoes(scores, n_seeds):
    """Share of times that an equal at each regime is called worse at some."""
    pool, draws = scores.recentred().values, np.random.default_rng(2)
    vetoes = 0
    for _ in range(REPETITIONS):
        sat = pool[draws.integers(len(pool), size=n_seeds)]
        vetoes += bool(_by_regime(sat, scores.regimes).worse_at)
    return vetoes / REPETITIONS


def found_worse(scores, n_seeds, true_loss, repetitions=REPETITIONS):
    """Share of times that a true loss at one regime only is called worse there."""
    pool, draws = scores.recentred().values, np.random.default_rng(5)
    means, vetoes = pool[:, :, 0].mean(axis=0), 0
    for _ in range(repetitions):
        sat = pool[draws.integers(len(pool), size=n_seeds)]
        at = draws.integers(len(means))
        sat[:, at, 1] -= true_loss * means[at]
        vetoes += scores.regimes[at] in _by_regime(sat, scores.regimes).worse_at
    return vetoes / repetitions


def missed(scores, n_seeds):
    """Share of times that the interval of an equal's gain leaves out zero."""
    pool, draws = scores.recentred().values, np.random.default_rng(3)
    misses = 0
    for _ in range(REPETITIONS):
        sat = pool[draws.integers(len(pool), size=n_seeds)]
        pairs = sat[:, :, 1].ravel(), sat[:, :, 0].ravel()
        found = gain(*pairs, scores.regimes * n_seeds)
        misses += not found.low <= 0 <= found.high
    return misses / REPETITIONS


def found(scores, n_seeds, true_gain, repetitions=REPETITIONS):
    """Share of times that a true gain, a share of the score, is called better."""
    pool, draws = scores.recentred().values, np.random.default_rng(4)
    more = true_gain * pool[:, :, 0].mean(axis=0)
    wins = 0
    for _ in range(repetitions):
        sat = pool[draws.integers(len(pool), size=n_seeds)]
        own, other = sat[:, :, 1] + more, sat[:, :, 0]
        wins += is_better(own.ravel(), other.ravel(), scores.regimes)
    return wins / repetitions


def is_better(own, other, regimes):
    """As a verdict says it."""
    n_seeds = len(own) // len(regimes)
    if own.mean() <= other.mean():
        return False
    verdict = Verdict((), regimes * n_seeds, "exams", "none", "made")
    pairs = (_reported("own", own), _reported("other", other))
    return verdict.compare(*pairs).is_better


def _by_regime(sat, regimes):
    """How the second of two policies compares to the first, load by load only."""
    pairs = sat[:, :, 1].ravel(), sat[:, :, 0].ravel()
    nothing = Gain(0.0, 0.0, 0.0)
    return Comparison(nothing, gains_by(*pairs, regimes * len(sat)))


def _contender(i, train, sat):
    half = len(sat) // 2
    arm = "evolved" if i else "seed"
    pick, report = sat[:half, :, i].ravel(), sat[half:, :, i].ravel()
    return Contender(str(i), arm, "", train[i], tuple(pick), tuple(report), 1.0)


def _reported(name, scores):
    return Contender(name, "evolved", "", 0.0, (), tuple(scores), 1.0)
