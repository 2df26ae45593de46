"""A router knows caches as of the last report, or by what it sent, as switched."""

from dataclasses import replace

import numpy as np
import pytest

from evaluators.fleet import Fleet, Loss
from evaluators.sim.cluster.engines import fast
from evaluators.sim.cluster.fleet import simulate_fleet
from evaluators.workloads.prefixes import Prefixes
from tests.sim.fleets import fuzzed_fleet
from tests.sim.test_routing import Watching, served_by

KINDS = ("as_reported", "own_record", "exact")


def known(arrived_s, shares, **rules):
    """What a router that sends all to replica 0 sees of the cache there.

    Prompts of 100 tokens have six full blocks, and take steps of 20 ms; those that
    ``shares`` gives one number begin alike.
    """
    exam = served_by(2, arrived_s, **rules)
    engine = replace(exam.deployment, prefix_caching=True)
    members = tuple(replace(m, deployment=engine) for m in exam.fleet.members)
    ids = 6 * np.repeat(shares, 6) + np.tile(np.arange(6), len(shares))
    prefixes = Prefixes(16, 6 * np.arange(len(shares) + 1), ids)
    exam = replace(
        exam,
        deployment=engine,
        trace=replace(exam.trace, prefixes=prefixes),
        fleet=replace(exam.fleet, members=members),
    )
    watching = Watching(0)
    simulate_fleet(exam, watching, fast)
    seen = [replicas.cached_tokens.tolist() for _, replicas in watching.seen]
    assert not any(other for _, other in seen)
    return [own for own, _ in seen]


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("as_reported", [0, 0, 0, 96]),
        ("own_record", [0, 0, 96, 96]),
        ("exact", [0, 0, 0, 96]),
    ],
)
def test_what_was_sent_is_known_at_once_only_by_an_own_record(kind, seen):
    """The prompt that is asked for again still waits behind another one."""
    times, shares = [0.0, 0.001, 0.002, 0.06], [0, 1, 1, 1]
    rules = {"cache_reports": kind, "report_delay_s": 0.05}
    assert known(times, shares, **rules) == seen


@pytest.mark.parametrize(
    ("kind", "seen"),
    [("as_reported", [0, 0, 96]), ("own_record", [0, 96, 96]), ("exact", [0, 96, 96])],
)
def test_a_report_tells_what_had_been_computed_when_it_was_made(kind, seen):
    rules = {"cache_reports": kind, "report_delay_s": 0.05}
    assert known([0.001, 0.03, 0.06], [0, 0, 0], **rules) == seen


def test_reports_without_delay_are_exact():
    times, shares = [0.0, 0.001, 0.03, 0.06], [0, 1, 1, 0]
    assert known(times, shares) == known(times, shares, cache_reports="exact")


@pytest.mark.parametrize("kind", KINDS)
def test_the_memory_of_a_lost_replica_is_known_to_be_gone(kind):
    loss = Loss(0, 0.3, 0.31)
    rules = {"cache_reports": kind, "report_delay_s": 0.05, "losses": (loss,)}
    assert known([0.0, 0.12, 0.34], [0, 0, 0], **rules) == [0, 96, 0]


def test_an_own_record_holds_no_more_than_the_replicas_memory():
    """1,000 blocks there: 165 other prompts of six fit beside the first one."""
    rules = {"cache_reports": "own_record", "report_delay_s": 0.05}
    times = np.arange(170) * 0.1
    seen = [
        known(times[: n + 2], [0, *range(1, n + 1), 0], **rules)[-1]
        for n in (165, 166, 167)
    ]
    assert seen == [96, 64, 0]


def shortest(trace):
    """Outputs as short as the blocks of each request allow."""
    blocks = np.diff(trace.prefixes.offsets) * trace.prefixes.block_tokens
    return np.maximum(1, blocks - trace.prompt_tokens)


def test_what_is_known_of_caches_does_not_depend_on_what_comes_later():
    compared = 0
    for seed in range(120):
        exam = fuzzed_fleet(seed)
        trace, n = exam.trace, len(exam.trace)
        if trace.sessions is not None or trace.prefixes is None or n < 6:
            continue
        later = trace.arrived_ps > trace.arrived_ps[n // 2]
        kept = replace(
            trace,
            arrived_ps=trace.arrived_ps + 7 * later,
            output_tokens=np.where(later, shortest(trace), trace.output_tokens),
        )
        seen = []
        for each in (trace, kept):
            watching = Watching(np.zeros(1, dtype=int))
            fleet = replace(exam.fleet, losses=())
            served = replace(exam, trace=each, fleet=fleet)
            simulate_fleet(served, watching, fast)
            seen.append([
                replicas.parts()[0].tobytes()
                for request, replicas in watching.seen
                if request.now_s * 1e12 <= trace.arrived_ps[n // 2]
            ])
        assert seen[0] == seen[1]
        compared += len(seen[0])
    assert compared > 100


def test_an_unknown_way_to_know_is_refused_with_those_there_are():
    members = served_by(1, [0.0]).fleet.members
    with pytest.raises(ValueError, match="as_reported, own_record, exact"):
        Fleet(members, cache_reports="guess")
