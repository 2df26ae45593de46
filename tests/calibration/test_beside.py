"""Prices of decodes beside a prefill: when they are paid, and that a fit finds them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.calibration.beside import fit_beside, held_out
from evaluators.calibration.calibration import load
from evaluators.calibration.calibration_file import BESIDE, step_time
from evaluators.calibration.samples import Samples, steps
from evaluators.calibration.step_time import Batch, StepTime
from tests.calibration.data import calibration as shipped_one

ALONE = StepTime(
    tokens_ps=(9_000_000, 9_010_000),
    decodes_ps=(1_000, 2_000, 2_500),
    context_ps=((300,),),
    prefill_token_ps=40_000,
    longest_context_ps=2,
)
BESIDE_SOME = replace(ALONE, beside_decode_ps=70_000, beside_context_ps=110)

counts = st.integers(0, 300)


@given(tokens=counts, n=counts, mean=st.integers(1, 5000))
def test_the_prices_are_paid_by_steps_of_both_kinds_and_no_others(tokens, n, mean):
    batch = Batch(tokens, tokens**2, n, n * mean, mean if n else 0, 1, tokens)
    more = BESIDE_SOME.duration_ps(batch) - ALONE.duration_ps(batch)
    assert more == (n * (70_000 + 110 * mean) if tokens else 0)


@given(tokens=counts, n=counts, mean=st.integers(1, 5000))
def test_a_prefill_token_or_a_decode_more_is_never_faster(tokens, n, mean):
    base = Batch(tokens, tokens**2, n, n * mean, mean, 1, tokens)
    base_ps = BESIDE_SOME.duration_ps(base)
    for grown in (
        base._replace(prefill_tokens=tokens + 1),
        base._replace(decodes=n + 1, context_tokens=n * mean + 1),
        base._replace(context_tokens=n * mean + 1),
    ):
        assert BESIDE_SOME.duration_ps(grown) >= base_ps


@pytest.mark.parametrize("price", sorted(BESIDE))
def test_a_price_below_zero_is_refused(price):
    with pytest.raises(ValueError, match="must not be negative"):
        replace(ALONE, **{price: -1})


def drawn(times):
    rng = np.random.default_rng(1)
    chunk, prefix, n, context = np.floor(np.exp(rng.uniform(0, 6, (4, 300))))
    made = steps(np.ones(300), chunk, prefix, n, context)
    unknown = Samples(**made, seconds=np.ones(300))
    return replace(unknown, seconds=unknown.predicted_s(times))


@pytest.mark.parametrize("known", [ALONE, BESIDE_SOME])
def test_the_fit_finds_the_prices_that_made_the_steps(known):
    together = drawn(BESIDE_SOME)
    assert fit_beside(together, known) == {
        "beside_decode_ps": 70_000,
        "beside_context_ps": 110,
    }


def test_steps_that_are_faster_together_leave_the_prices_at_zero():
    found = fit_beside(drawn(ALONE), replace(ALONE, prefill_token_ps=50_000))
    assert set(found.values()) == {0}


def test_the_fit_does_not_look_at_the_steps_that_are_held_out():
    together = drawn(BESIDE_SOME)
    told = np.concatenate([s.seconds for s in held_out(together).values()])
    assert 60 <= len(told) <= 100
    slow = np.where(np.isin(together.seconds, told), 9.0, together.seconds)
    changed = replace(together, seconds=slow)
    assert fit_beside(changed, ALONE) == fit_beside(together, ALONE)


def test_a_file_without_the_prices_has_none_of_them():
    table = {
        **{"tokens_ps": [[0, 5]], "decodes_ps": [[0, 5]]},
        **{"context_knots": [0], "context_ps": [[[0, 1]]]},
        **{f"prefill{part}_ps": 0 for part in ("", "_token", "_work", "_context")},
        "longest_context_ps": 0,
    }
    assert step_time(table).beside_context_ps == 0
    both = dict.fromkeys(BESIDE, 3)
    assert step_time(table | both).beside_context_ps == 3
    with pytest.raises(ValueError, match="beside_decode_ps is -3"):
        step_time(table | both | {"beside_decode_ps": -3})
    with pytest.raises(ValueError, match="unknown keys in step_time: beside_ps"):
        step_time(table | {"beside_ps": 3})
    with pytest.raises(ValueError, match="missing keys in step_time: tokens_ps"):
        step_time({k: v for k, v in table.items() if k != "tokens_ps"} | both)


def test_only_profiles_of_both_together_have_the_prices():
    assert shipped_one("llama31_8b_rtxpro6000").step_time.beside_context_ps > 0
    assert load("llama31_8b_h100").step_time.beside_context_ps == 0
