"""Clairvoyant upper bounds of the mean utility: what no policy can exceed.

Machine time is conserved: a request's shares of steps (``work.py``) before its first
token, or before its last, must fit beside everybody else's between its arrival and
that moment. Valuing each piece of work by the utility still possible at the start of
its time slot relaxes this to a transportation problem, and any prices of the slots
bound that from above (weak duality): sum of price x slot, plus each request's best
utility less the price of its work. Whatever prices the search finds, the bound holds.
"""

from typing import NamedTuple

import numpy as np

from evaluators.metrics import objectives
from evaluators.scenario import Scenario
from evaluators.views import Floats, Ints
from evaluators.work import Work, prices, tables, work
from evaluators.workloads.trace import PS_PER_S

BLOCK_REQUESTS = 400
"""Requests bounded together; blocks of a longer trace add up, each with an engine of
its own, so that the cost is linear."""
ARRIVAL_SLOTS = 240
TAIL_SLOTS = 60
ROUNDS = 30
SMOOTHING = (0.1, 0.01)
"""Utility over which the choice between slots is smeared, first and last round."""


class Asks(NamedTuple):
    """What some requests are worth by when they are served, columns of shape (n,)."""

    arrived_s: Floats
    ttft_s: Floats
    tpot_s: Floats
    gap_s: Floats
    cut_off_s: Floats
    later: Floats
    first_s: Floats
    rest_s: Floats


class Slots(NamedTuple):
    """Time slots in order, shape (m,), seconds."""

    start_s: Floats
    length_s: Floats


def utility_bound(scenario: Scenario) -> float:
    """Upper bound of the mean utility that any policy can reach on a scenario.

    The least of three: every request alone on an idle engine; all prefills competing
    for machine time; all whole requests competing for it.
    """
    table = tables(scenario)
    options = [work(scenario, table, price) for price in prices(table)]
    first = options[0].prefill_s
    whole = max((w.prefill_s + w.answer_s for w in options), key=np.sum)
    return competing_bound(scenario, options[0], first, whole)


def alone_bound(scenario: Scenario, least: Work) -> float:
    """Upper bound of the mean utility where no request is in another's way."""
    asks = _asks(scenario, least, np.arange(len(scenario.trace)))
    return float(_divided(asks, asks.first_s, asks.rest_s).mean())


def competing_bound(
    scenario: Scenario, least: Work, first: Floats, whole: Floats
) -> float:
    """Upper bound of the mean utility where requests compete for machine time.

    ``first`` and ``whole`` are the seconds of machine time, shape (n,), that each
    request takes at least up to its first and to its last token; ``least`` says how
    long it takes at least when alone.
    """
    n, total = len(scenario.trace), 0.0
    for start in range(0, n, BLOCK_REQUESTS):
        rows = np.arange(start, min(n, start + BLOCK_REQUESTS))
        asks = _asks(scenario, least, rows)
        slots = _slots(asks)
        total += min(
            transport_bound(first_values(asks, slots), first[rows], slots),
            transport_bound(whole_values(asks, slots), whole[rows], slots),
        )
    return min(1.0, total / n)


def transport_bound(value: Floats, work_s: Floats, slots: Slots) -> float:
    """Bound of the transportation relaxation, for (n, m) values.

    Maximise the sum of value x share of a request's work done in a slot, where shares
    of a request add up to at most 1 and the work in a slot is at most its length.
    """
    free = float(value.max(axis=1).sum())
    price = slot_prices(value, work_s, slots)
    return min(free, dual(value, work_s, slots, price))


def dual(value: Floats, work_s: Floats, slots: Slots, price: Floats) -> float:
    """Bound of the relaxation by ``price`` >= 0 per second of each slot."""
    gain = (value - work_s[:, None] * price).max(axis=1)
    return float(price @ slots.length_s + np.maximum(gain, 0.0).sum())


def slot_prices(value: Floats, work_s: Floats, slots: Slots) -> Floats:
    """Good prices, shape (m,): accelerated descent on the smoothed dual.

    Each request spreads its work over slots by softmax of its gain; a slot's price
    moves by its overload over the curvature of the smoothed dual (Nesterov 2005).
    """
    worth = value.astype(np.float32)
    cost = work_s.astype(np.float32)
    length = slots.length_s.astype(np.float32)
    most = np.float32(0.1 / max(float(np.median(work_s)), 1e-9))
    price = ahead = best = np.zeros_like(length)
    momentum, least = 1.0, np.inf
    for smoothing in np.geomspace(*SMOOTHING, ROUNDS).astype(np.float32):
        gain = (worth - cost[:, None] * ahead) / smoothing
        top = np.maximum(gain.max(axis=1), 0)
        bound = float(ahead @ length + smoothing * top.sum())
        if bound < least:
            least, best = bound, ahead
        share = np.exp(gain - top[:, None])
        share /= (share.sum(axis=1) + np.exp(-top))[:, None]
        curve = np.maximum((cost * cost) @ share / smoothing, 1e-3 * length)
        change = np.clip((length - cost @ share) / curve, -most, most)
        after = np.maximum(ahead - change / 2, 0)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        pull = np.float32((momentum - 1) / following)
        ahead = np.maximum(after + pull * (after - price), 0)
        price, momentum = after, following
    return best.astype(np.float64)


def first_values(asks: Asks, slots: Slots) -> Floats:
    """Most utility of each request if its first token comes in each slot or later.

    Shape (n, m): as if it came at the first moment of the slot, but no sooner than it
    could alone, with the later tokens as fast as they could be alone.
    """
    column = Asks(*(part[:, None] for part in asks))
    first_s = np.maximum(slots.start_s - column.arrived_s, column.first_s)
    value = _divided(column, first_s, column.rest_s)
    return _possible(column, slots, value, first_s + column.rest_s)


def whole_values(asks: Asks, slots: Slots) -> Floats:
    """Most utility of each request if its last token comes in each slot or later.

    Shape (n, m): as if it came at the first moment of the slot, but no sooner than it
    could alone, and with that time divided into first token and later ones as is best.
    The logarithm of the utility is piecewise convex in the time to the first token, so
    the best division is at an end of a piece.
    """
    column = Asks(*(part[:, None] for part in asks))
    least_s = column.first_s + column.rest_s
    taken_s = np.maximum(slots.start_s - column.arrived_s, least_s)
    latest_s = taken_s - column.rest_s
    value = np.zeros_like(taken_s)
    for end_s in (
        column.ttft_s,
        taken_s - column.tpot_s * column.later,
        taken_s - column.gap_s * column.later,
        column.first_s,
        latest_s,
    ):
        first_s = np.minimum(np.maximum(end_s, column.first_s), latest_s)
        value = np.maximum(value, _divided(column, first_s, taken_s - first_s))
    return _possible(column, slots, value, taken_s)


def _possible(column: Asks, slots: Slots, value: Floats, taken_s: Floats) -> Floats:
    """The values, 0 before the arrival and where the end is past the cut-off."""
    arrived = slots.start_s + slots.length_s > column.arrived_s
    in_time = column.arrived_s + taken_s <= column.cut_off_s
    return np.where(arrived & in_time, value, 0.0)


def _divided(asks: Asks, first_s: Floats, rest_s: Floats) -> Floats:
    """Utility of a first token after ``first_s`` and the last ``rest_s`` later."""
    later = np.maximum(asks.later, 1.0)
    gap_s = np.where(asks.later > 0, rest_s / later, 0.0)
    kept = asks.ttft_s / np.maximum(first_s, asks.ttft_s)
    kept *= asks.tpot_s / np.maximum(gap_s, asks.tpot_s)
    return kept * asks.gap_s / np.maximum(gap_s, asks.gap_s)


def _asks(scenario: Scenario, least: Work, rows: Ints) -> Asks:
    trace, promised = scenario.trace, objectives(scenario)
    return Asks(
        arrived_s=trace.arrived_ps[rows] / PS_PER_S,
        ttft_s=promised.ttft_s[rows],
        tpot_s=promised.tpot_s[rows],
        gap_s=promised.gap_s[rows],
        cut_off_s=promised.cut_off_s[rows],
        later=(trace.output_tokens[rows] - 1).astype(np.float64),
        first_s=least.first_s[rows],
        rest_s=least.rest_s[rows],
    )


def _slots(asks: Asks) -> Slots:
    """Even slots while requests arrive, then ever longer ones to the last cut-off."""
    first, last = float(asks.arrived_s[0]), float(asks.arrived_s[-1])
    end = float(asks.cut_off_s.max())
    even = np.linspace(first, last, ARRIVAL_SLOTS)
    tail = last + (end - last) * np.linspace(0.0, 1.0, TAIL_SLOTS + 1) ** 2
    edges = np.unique(np.concatenate([even, tail]))
    return Slots(edges[:-1], np.diff(edges))
