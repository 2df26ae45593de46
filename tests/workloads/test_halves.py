"""Halves of validation: one picks, the other alone reports, so they share nothing."""

from dataclasses import replace
from inspect import signature

import numpy as np
import pytest

from adrs.exams import Sitting, halves, scenarios
from evaluators.calibration.step_time import StepTime
from evaluators.problems import load
from evaluators.scenario import Deployment, split_of
from evaluators.splits import Plan, Service, draw_split
from evaluators.workloads import servegen
from evaluators.workloads.replay import Replay
from evaluators.workloads.workload import build_workload, kinds
from tests.workloads import samples
from tests.workloads.test_contract import arrays
from tests.workloads.test_replay import recorded, replay

SERVICE = Service(Deployment("small", kv_blocks=2000), StepTime((1,)), "made up")
HALVES = ("picking", "reporting")
N = 30
SEEDS = 40
FIRST_WINDOWS = (0, 36, 42, 48)
"""Where train, each half of validation and held-out begin in 60 windows."""


def is_recorded(kind):
    module = __import__(f"evaluators.workloads.{kind}", fromlist=["build"])
    return "data" in signature(module.build).parameters


RECORDED = [kind for kind in kinds() if is_recorded(kind)]


def numbered(workload):
    """The same replay with the number of each row for its prompt."""
    found = workload.read()
    rows = 10**6 + np.arange(len(found.arrived_s))  # longer than any recorded blocks
    return replace(workload, read=lambda: replace(found, prompt_tokens=rows))


def rows(trace):
    return set(trace.prompt_tokens.tolist())


def openings(trace):
    """Sessions, by the output of their first request, which no two have in common."""
    return set(trace.output_tokens[trace.sessions.after < 0].tolist())


def clients_of_four_times(folder):
    """Clients whose prompts tell the part of the recorded time that they are of."""
    from pyarrow import Table, parquet

    samples.servegen(folder)
    path = folder / "servegen" / "m-large_length_pdfs.parquet"
    sample = parquet.read_table(path).to_pydict()
    n = len(sample["client"])
    found = {name: [] for name in sample}
    for window in FIRST_WINDOWS:
        start_s, prompt = window * servegen.WINDOW_S, 100.0 + window
        now = {"window_start_s": [start_s] * n, "values": [[prompt, 2 * prompt]] * n}
        for name, values in (sample | now).items():
            found[name] += values
    parquet.write_table(Table.from_pydict(found), path)


@pytest.fixture(params=RECORDED)
def recording(request, tmp_path):
    """A recorded workload, and what tells which of its requests a trace holds."""
    kind = request.param
    samples.write_all(tmp_path)
    if kind == "servegen":
        pytest.importorskip("pyarrow")
        clients_of_four_times(tmp_path)
    workload = build_workload(kind, {"data": str(tmp_path)})
    if isinstance(workload, Replay):
        return numbered(workload), rows
    ways = {"empirical": rows, "servegen": rows}
    ways |= {"claude_code": openings, "conversations": openings}
    return workload, ways[kind]


def drawn(workload, seeds=SEEDS, n_requests=N, secret=b"ours"):
    plan = Plan(seeds, n_requests, regimes=(1.0,))
    sat = draw_split(workload, SERVICE, "validation", plan, 5.0, secret)
    return [s.trace for s in sat[: seeds // 2]], [s.trace for s in sat[seeds // 2 :]]


@pytest.mark.parametrize("secret", [b"", b"ours", b"theirs"])
def test_no_request_of_a_recording_is_in_both_halves(recording, secret):
    workload, requests = recording
    pick, report = (
        set.union(*map(requests, half)) for half in drawn(workload, secret=secret)
    )
    assert pick
    assert report
    assert not pick & report


def test_nor_is_one_of_train_or_held_out_in_a_half(recording):
    workload, requests = recording
    halved = set.union(*(requests(t) for half in drawn(workload) for t in half))
    for split in ("train", "held_out"):
        for seed in range(SEEDS):
            others = requests(workload.draw(split, seed, 5.0, N))
            assert not others & halved


def test_the_halves_of_a_recording_are_all_of_its_validation_part():
    parts = [replay().draw(half, 0, 1.0, 100).prompt_tokens for half in HALVES]
    whole = replay().draw("validation", 0, 1.0, sum(map(len, parts))).prompt_tokens
    assert np.array_equal(np.concatenate(parts), whole)


def test_rows_of_one_stamp_are_never_in_both_halves():
    found = recorded(stamp_s=30.0)
    halved = drawn(replay(found), seeds=200)
    times = [
        {found.arrived_s[row - 1] for trace in half for row in rows(trace)}
        for half in halved
    ]
    assert not times[0] & times[1]


def test_windows_of_a_half_begin_all_over_it():
    for half, first in zip(drawn(replay(), seeds=400), (600, 700), strict=True):
        starts = {int(trace.prompt_tokens[0]) for trace in half}
        assert len(starts) > 60
        assert min(starts) < first + 5
        assert max(starts) > first + 100 - N - 5


def test_a_half_that_is_too_short_is_refused_in_one_line():
    with pytest.raises(
        ValueError, match=r"test: the \w+ half of validation holds .* ask for fewer"
    ) as caught:
        drawn(replay(), n_requests=102)
    assert "\n" not in str(caught.value)
    assert len(replay().draw("validation", 0, 1.0, 102)) == 102


def test_a_half_with_too_few_sessions_is_refused_by_name(tmp_path):
    samples.claude_code(tmp_path)
    workload = build_workload("claude_code", {"data": str(tmp_path)})
    with pytest.raises(
        ValueError, match="picking half of validation holds 40 requests; asked for 41"
    ):
        drawn(workload, n_requests=41)


@pytest.mark.parametrize("kind", sorted(set(kinds()) - set(RECORDED)))
def test_a_generator_draws_halves_as_it_draws_validation(kind):
    workload = build_workload(kind, {})
    for half in HALVES:
        assert split_of(half) == "validation"
        found, expected = (
            arrays(workload.draw(part, 3, 5.0, N)) for part in (half, "validation")
        )
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize("seeds", [2, 3, 12])
def test_the_exams_that_pick_and_report_are_drawn_from_their_halves(seeds):
    each = {"train": 1, "validation": seeds, "held_out": 1}
    at = Sitting(*(
        load("scheduling"),
        replay(),
        SERVICE,
        N,
        (0.5, 1.0),
        each,
        5.0,
        {},
        b"ours",
    ))
    pick, report = halves(at, scenarios(at, "validation"))
    assert len(pick) == seeds // 2 * 2
    assert len(pick) + len(report) == 2 * seeds
    assert max(s.trace.prompt_tokens.max() for s in pick) <= 700
    assert min(s.trace.prompt_tokens.min() for s in report) >= 700
