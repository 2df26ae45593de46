import json
import math
from dataclasses import asdict
from importlib.resources import files
from itertools import pairwise
from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.calibration.calibration import load, names, parse
from evaluators.calibration.calibration_file import expanded, floor_of
from evaluators.calibration.roofline import roofline
from evaluators.calibration.shapes import GPUS, MODELS
from evaluators.calibration.step_time import Batch, StepTime, steps_to_edge
from tests.calibration.data import calibration as shipped_one

H100 = load("llama31_8b_h100")


def shipped(name="llama31_8b_h100"):
    path = files("evaluators.calibration") / "data" / f"{name}.json"
    return json.loads(path.read_text())


def decode(n, context):
    return Batch(0, 0, n, n * context, context)


def prefill(tokens, done=0, n=0, context=0):
    work = tokens * (tokens + 2 * done)
    return Batch(tokens, work, n, n * context, context, 1, tokens + done)


H100_S = H100.step_time
LESS_WITH_A_REQUEST = {False: 1.0, True: 0.97}
"""One long context alone reads slower than two: so it was measured on H100."""

PIECEWISE = StepTime(
    tokens_ps=(100, 100, 120, 121),
    decodes_ps=(0, 5, 9),
    context_knots=(0, 100, 4000),
    context_ps=((3, 3, 4), (7,), (1, 2)),
    prefill_token_ps=2,
    prefill_work_ps=1,
    prefill_ps=40,
    prefill_context_ps=3,
    longest_context_ps=2,
    beside_decode_ps=6,
    beside_context_ps=5,
)
"""Prices that rise and fall with the mean context, and a price for all else."""


def test_every_shipped_calibration_loads_and_says_where_it_comes_from():
    for name in names():
        calibration = shipped_one(name)
        assert calibration.provenance.who and calibration.assumptions
        assert calibration.kv_source.startswith(("measured: ", "derived: "))
        assert calibration.error.regimes or "none" in calibration.error.reference
        assert calibration.kv_blocks > 0


def test_durations_of_every_shipped_calibration_are_whole_picoseconds():
    for name in names():
        times = shipped_one(name).step_time
        durations = [
            times.duration_ps(b) for b in (decode(3, 700), prefill(100, 7, 2, 9))
        ]
        assert all(type(value) is int for value in durations)
        assert all(type(value) is int for value in times.tokens_ps + times.decodes_ps)


@pytest.mark.parametrize(
    "times",
    [H100_S, load("roofline:yi-34b:a100-sxm-80g:2").step_time, PIECEWISE],
)
@settings(max_examples=200, deadline=None)
@given(
    tokens=st.integers(0, 20000),
    done=st.integers(0, 50000),
    n=st.integers(0, 1200),
    context=st.integers(1, 10000),
    chunks=st.integers(1, 9),
)
def test_more_tokens_or_more_context_are_never_faster(
    times, tokens, done, n, context, chunks
):
    total, work = n * context, tokens * (tokens + 2 * done)
    longest, ends = context if n else 0, tokens + chunks * done
    base = Batch(tokens, work, n, total, longest, chunks, ends)
    grown = [
        base._replace(
            prefill_tokens=tokens + 1,
            prefill_work=work + 2 * (tokens + done) + 1,
            prefill_context=ends + 1,
        ),
        base._replace(prefills=chunks + 1),
        base._replace(prefill_context=ends + 1),
        base._replace(context_tokens=total + n, longest_context=longest + bool(n)),
        base._replace(context_tokens=total + bool(n)),
    ]
    base_ps = times.duration_ps(base)
    assert all(times.duration_ps(batch) >= base_ps for batch in grown)
    if times is not PIECEWISE:  # dearer from a mean context on: it falls with a request
        more = Batch(tokens, work, n + 1, total + 1, max(1, longest), chunks, ends)
        assert times.duration_ps(more) >= base_ps * LESS_WITH_A_REQUEST[times is H100_S]


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 50), total=st.integers(1, 400_000))
def test_a_context_token_costs_what_the_mean_context_says(n, total):
    prices = (3 if n == 1 else n + 2, 7, n + 1)
    at = sum(total >= n * knot for knot in (100, 4000))
    more = PIECEWISE.attention_ps(n, total + 1) - PIECEWISE.attention_ps(n, total)
    assert more == prices[at]  # the tables go on with their last slopes
    assert PIECEWISE.attention_ps(n, 0) == PIECEWISE.attention_ps(0, 0) == 0


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 50), total=st.integers(1, 300_000))
def test_decode_steps_up_to_an_edge_grow_by_the_same(n, total):
    steps = steps_to_edge(PIECEWISE.context_knots, n, total)
    if steps is None:
        assert total >= 4000 * n
        return
    after = [PIECEWISE.attention_ps(n, total + n * i) for i in range(steps + 2)]
    growth = [b - a for a, b in pairwise(after)]
    assert steps >= 1 and len(set(growth[: steps - 1])) <= 1
    beyond = total + n * steps
    assert any(beyond > n * knot > total - n for knot in (100, 4000))


@pytest.mark.parametrize(
    ("batch", "quoted_ms"),
    [
        (decode(1, 1024), 6.18),
        (decode(8, 1024), 6.60),
        (decode(64, 1024), 10.35),
        (decode(64, 4096), 17.9),
        (prefill(512, n=64, context=1024), 17.3),
    ],
)
def test_llama_on_h100_is_within_8_percent_of_aiconfigurators_own_steps(
    batch, quoted_ms
):
    # Quoted by AIConfigurator 0.12.0 for Llama-3.1-8B, BF16, H100 SXM, vLLM.
    own_ms = H100.step_time.duration_ps(batch) / 1e9
    assert isclose(own_ms, quoted_ms, rel_tol=0.08)


def test_no_shipped_step_is_faster_than_its_gpu_allows():
    batches = [decode(n, c) for n in (1, 30, 94, 95, 300) for c in (1, 100, 2000)]
    batches += [
        prefill(k, 0, n, 500) for k in (1, 100, 1000, 4000) for n in (0, 1, 200)
    ]
    for calibration in map(shipped_one, names()):
        floor = floor_of(calibration)
        for batch in batches:
            own = calibration.step_time.duration_ps(batch)
            assert own >= 0.999 * floor.duration_ps(batch), (calibration.name, batch)


def test_knots_are_joined_by_lines_rounded_down():
    assert expanded([[0, 5], [2, 6], [5, 3]], "t") == (5, 5, 6, 5, 4, 3)


def broken(**changes):
    return json.dumps(shipped() | changes)


def slower(**changes):
    content = shipped()
    content["step_time"] |= changes
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "Expecting property name"),
        ("[]", "the file is list; expected an object"),
        (broken(typo=1), "unknown keys in the file: typo"),
        (json.dumps({"model": "opt-13b"}), "missing keys in the file: "),
        (broken(status="guessed"), "status is 'guessed'; expected one of"),
        (broken(version=1), "version is 1; expected 2"),
        (broken(gpu="h300"), "gpu 'h300' is not known; there are"),
        (broken(provenance={"who": "x"}), "missing keys in provenance: clocks"),
        (broken(kv_source="guessed"), "'guessed' must begin with measured: or"),
        (broken(links={"host": "fibre"}), "copy curve 'fibre' is not known; there"),
        (broken(host={"seconds": -1, "source": "x"}), "host seconds is -1; expected"),
        (broken(noise={"relative": 0.1}), "missing keys in noise: source"),
        (broken(kv_blocks=-1), "kv_blocks is -1; expected an integer, 1 or more"),
        (slower(context_ps=[[[0, -5]]]), "context_ps is -5; expected an integer"),
        (slower(context_ps=[[[0, 5]]] * 2), "expected one knot a table, the first 0"),
        (slower(context_ps=7), "context_ps is 7; expected a list"),
        (slower(context_knots=[-1]), "context_knots is -1; expected an integer"),
        (
            slower(context_knots=[0, 9, 9], context_ps=[[[0, 50000]]] * 3),
            "context_knots (0, 9, 9) must ascend",
        ),
        (
            slower(context_knots=[0, 9000], context_ps=[[[0, 50000]], [[0, 10]]]),
            "faster than the",
        ),
        (slower(prefill_work_ps=0.5), "prefill_work_ps is 0.5; expected an integer"),
        (broken(tp=10**30), "tp is 1e+30; expected at most 1e+15"),
        (broken(assumptions="x"), "assumptions is 'x'; expected a list"),
        ('{"tp": 1, "tp": 2}', "keys that are there twice: tp"),
        ("[" * 100_000, "nested too deeply to be read"),
        (
            broken(error={"regimes": 5, "reference": "x"}),
            "regimes is 5; expected an object",
        ),
        (
            broken(error={"regimes": {"a": [math.nan, 0]}, "reference": "x"}),
            "error of a is (nan, 0.0); expected two shares",
        ),
        (slower(tokens_ps=[[0, 0], [10**12, 1]]), "knot at count 1000000000000 is aft"),
        (slower(tokens_ps=[]), "tokens_ps: the first knot must be at count 0"),
        (slower(tokens_ps=7), "tokens_ps must be a list of knots"),
        (slower(tokens_ps=[[0, 0], [9, 1], [9, 2]]), "knot at count 9 comes after 9"),
        (slower(tokens_ps=[[0, 0], [4096, 10**9]]), "faster than the"),
        (slower(prefill_work_ps=0, context_ps=[[[0, 0]]] * 3), "faster than the"),
    ],
)
def test_a_bad_file_gives_one_line_that_says_what_is_wrong(text, complaint):
    with pytest.raises(ValueError, match="calibration bad: ") as caught:
        parse("bad", text)
    message = str(caught.value)
    assert complaint in message and "\n" not in message
    assert all(name in message for name in names())


def test_an_unknown_name_lists_the_calibrations_there_are():
    with pytest.raises(
        ValueError, match="no calibration 'h1000'; there are "
    ) as caught:
        load("h1000")
    assert all(name in str(caught.value) for name in names())


def test_a_model_without_measurements_is_stamped_an_assumed_roofline():
    calibration = load("roofline:llama-3.1-8b:h100-sxm-80g:1")
    assert calibration.status == "assumed roofline"
    expected = roofline(MODELS["llama-3.1-8b"], GPUS["h100-sxm-80g"], 1)
    assert asdict(calibration.step_time) == asdict(expected)


@pytest.mark.parametrize(
    "name",
    ["roofline:gpt:h100-sxm-80g:1", "roofline:yi-34b:h100-sxm-80g:0", "roofline:x"],
)
def test_a_roofline_that_cannot_be_is_refused(name):
    with pytest.raises(
        ValueError, match=r"is not known; there are|is not roofline:MODEL:GPU:TP"
    ):
        load(name)
