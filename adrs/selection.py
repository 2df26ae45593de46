"""Which policy to improve next, and which to show beside it.

Pure functions of what a round may know and of a random stream. Policies that scored
alike on every scenario decided alike as far as anyone can tell and stand once.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np

from adrs.archive import History, Row

ENTRANTS = 3
"""Policies in a tournament."""

Draws = np.random.Generator


class Field(NamedTuple):
    """Policies to choose from, best first, and how many children each has so far."""

    rows: list[Row]
    children: Counter[str]


class Choice(NamedTuple):
    """Ids of the policy to improve and of those shown beside it."""

    parent: str
    inspirations: tuple[str, ...]


def field(history: History) -> Field:
    """The policies that may be chosen: those scored on every exam, if there is any."""
    valid = [row for row in history.rows if row.is_ranked]
    distinct = {row.scores: row for row in reversed(valid)}
    rows = list(distinct.values()) or list(history.rows)
    children = Counter(row.parents[0] for row in history.rows if row.parents)
    rows.sort(key=lambda row: (-row.score, row.round, row.slot))
    return Field(rows, children)


def choose(of: Field, draws: Draws, n_inspirations: int) -> Choice:
    """A parent by one of the strategies, then others, each by another draw.

    Raises ``ValueError`` when nothing has been evaluated.
    """
    if not of.rows:
        raise ValueError("nothing to choose from; expected at least one evaluated seed")
    parent = _pick(of, draws)
    others = Field([row for row in of.rows if row is not parent], of.children)
    inspirations = []
    for _ in range(min(n_inspirations, len(others.rows))):
        row = _pick(others, draws)
        others.rows.remove(row)
        inspirations.append(row.id)
    return Choice(parent.id, tuple(inspirations))


def best(of: Field, draws: Draws) -> Row:
    """The highest score."""
    del draws
    return of.rows[0]


def tournament(of: Field, draws: Draws) -> Row:
    """The best of a few drawn at random."""
    return of.rows[int(draws.integers(len(of.rows), size=ENTRANTS).min())]


def novelty(of: Field, draws: Draws) -> Row:
    """One of the better half, the likelier the fewer children it has."""
    half = of.rows[: (len(of.rows) + 1) // 2]
    weights = np.array([1.0 / (1 + of.children[row.id]) for row in half])
    return half[int(draws.choice(len(half), p=weights / weights.sum()))]


STRATEGIES = (best, tournament, tournament, novelty)
"""One is drawn for each choice; the entry that is there twice is twice as likely."""


def _pick(of: Field, draws: Draws) -> Row:
    return STRATEGIES[int(draws.integers(len(STRATEGIES)))](of, draws)
