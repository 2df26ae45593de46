"""Statistics: exact on small traces, and as measured on the public ones."""

import os
from dataclasses import replace

import numpy as np
import pytest

from evaluators.workloads.prefixes import Priorities, Sessions
from evaluators.workloads.relations import prefixes_of
from evaluators.workloads.statistics import statistics
from evaluators.workloads.trace import PS_PER_S, Trace
from evaluators.workloads.workload import build_workload

DATA = os.environ.get("ADRS_DATA")
needs_data = pytest.mark.skipif(
    not DATA, reason="ADRS_DATA names no folder with the public traces"
)


def trace(arrived_s, prompt=10, tenant=0):
    n = len(arrived_s)
    column = np.ones(n, dtype=np.int64)
    return Trace(
        (np.array(arrived_s) * PS_PER_S).astype(np.int64),
        *(column * prompt, column * 4, column * 4),
        *(column * tenant, column * 0),
    )


def test_steady_arrivals_have_no_variation():
    numbers = statistics(trace(np.arange(0, 200, 0.5)))
    assert numbers.rate_per_s == pytest.approx(2.0, rel=0.01)
    assert numbers.gap_cv == pytest.approx(0)
    assert numbers.dispersion == pytest.approx((0, 0, 0))


def test_arrivals_in_pairs_vary_as_much_as_pairs_do():
    numbers = statistics(trace(np.repeat(np.arange(0, 100, 2.0), 2)))
    assert numbers.gap_cv == pytest.approx(1, rel=0.02)
    assert numbers.dispersion[0] == pytest.approx(1, rel=0.05)


def test_too_short_a_trace_has_no_dispersion():
    assert np.isnan(statistics(trace([0.0, 5.0])).dispersion[1])
    assert np.isnan(statistics(trace([0.0])).gap_cv)


def test_lengths_and_shares_are_counted():
    numbers = statistics(trace([0.0, 1.0], prompt=7, tenant=2))
    assert (numbers.prompt_tokens.mean, numbers.prompt_tokens.most) == (7, 7)
    assert numbers.tenant_shares == (0, 0, 1)
    assert numbers.class_shares == (1,)


PUBLISHED = {
    "azure_llm_2023_conv": (19366, 5.53, 1154.7, 4142, 211.1, 601, 1.09, (1.4, 4.0)),
    "azure_llm_2023_code": (8819, 2.57, 2047.8, 7436, 27.9, 251, 13.15, (13.2, 71.3)),
    "mooncake_synthetic": (3993, 3.91, 15326, 66456, 149.1, 768, 1.01, (1.1, 1.4)),
    "mooncake_conversation": (12031, 3.40, 12035, 85400, 342.6, 1119, 1.0, ()),
}


@needs_data
@pytest.mark.parametrize("name", PUBLISHED)
def test_public_traces_have_their_measured_statistics(name):
    n, rate, prompt, prompt99, output, output99, cv, dispersion = PUBLISHED[name]
    kind = name.split("_")[0]
    options = {"trace": name, "data": DATA}
    if name == "mooncake_synthetic":
        options["stamp_s"] = 0.0
    numbers = statistics(build_workload(kind, options).whole(0))
    assert numbers.requests == n
    assert numbers.rate_per_s == pytest.approx(rate, rel=0.002)
    assert numbers.prompt_tokens.mean == pytest.approx(prompt, rel=0.001)
    assert numbers.prompt_tokens.p99 == pytest.approx(prompt99, rel=0.001)
    assert numbers.output_tokens.mean == pytest.approx(output, rel=0.001)
    assert numbers.output_tokens.p99 == pytest.approx(output99, rel=0.005)
    assert numbers.gap_cv == pytest.approx(cv, abs=0.03)
    # Measured with a last, incomplete window; here only whole ones count.
    assert numbers.dispersion[: len(dispersion)] == pytest.approx(dispersion, abs=0.4)


def related(prefixes=None, sessions=None, priorities=None, prompt=32):
    plain = trace([0.0, 1.0, 2.0, 3.0], prompt=prompt)
    return replace(plain, prefixes=prefixes, sessions=sessions, priorities=priorities)


def test_a_plain_trace_has_no_relations():
    numbers = statistics(trace([0.0, 1.0]))
    assert numbers.sharing is numbers.sessions is numbers.priorities is None


def test_hits_are_what_an_endless_cache_holds_of_prompts_and_outputs():
    chains = prefixes_of(16, [[1, 2], [1, 3], [1, 2], [4, 5]])
    shared = statistics(related(chains)).sharing
    assert (shared.blocks, shared.unique_blocks) == (8, 5)
    assert (shared.hit_blocks, shared.hit_tokens) == (3 / 8, 3 / 8)
    through_output = prefixes_of(3, [[1, 2, 3, 4], [1, 2, 3], [], []])
    shared = statistics(related(through_output, prompt=9)).sharing
    assert (shared.blocks, shared.unique_blocks) == (6, 3)
    assert (shared.hit_blocks, shared.hit_tokens) == (0.5, 0.25)


def test_sessions_are_counted_with_their_waits():
    waits = (np.array([0, 5, 0, 90]) * PS_PER_S).astype(np.int64)
    loops = statistics(related(sessions=Sessions([-1, 0, -1, 1], waits, [0, 1, 0, 0])))
    found = loops.sessions
    assert (found.sessions, found.requests.mean, found.requests.most) == (2, 2, 3)
    assert found.tool_share == 0.5
    assert (found.tool_wait_s[0], found.think_s[0]) == (5, 90)


def test_priorities_are_counted_with_their_changes():
    levels = np.array([[0, 3], [0, 1], [0, 1]])
    found = statistics(related(priorities=Priorities(2 * PS_PER_S, levels))).priorities
    assert (found.period_s, found.levels, found.updates) == (2, 3, 3)
    assert found.stay == 0.75
