"""What choosing tokens costs beyond the largest logit."""

import pytest

from evaluators.calibration.shapes import GPUS
from evaluators.calibration.step_time import Batch, StepTime
from evaluators.serving_runs.sampling import COSTS, default_sampling, with_sampling

H100 = GPUS["h100-sxm-80g"]
PLAIN = StepTime(tokens_ps=(10**9, 10**9 + 5), decodes_ps=(0, 7, 9))


def added_ps(sampling, decodes, vocab=32_000, prefill=0):
    slower = with_sampling(PLAIN, sampling, vocab, H100)
    batch = Batch(prefill, prefill**2, decodes, 100 * decodes, 100)
    return slower.duration_ps(batch) - PLAIN.duration_ps(batch)


def test_greedy_sampling_adds_nothing():
    assert with_sampling(PLAIN, "greedy", 32_000, H100) is PLAIN


@pytest.mark.parametrize("sampling", ["drawn", "nucleus"])
def test_each_row_of_logits_costs_the_same_behind_the_launches(sampling):
    once, twice, many = (added_ps(sampling, n) for n in (1, 2, 100))
    row = twice - once
    assert many == once + 99 * row
    assert once - row == pytest.approx(COSTS[sampling].kernels * 3e6)


def test_a_step_that_only_prefills_pays_for_one_row():
    assert added_ps("nucleus", 0, prefill=50) == added_ps("nucleus", 1)


def test_sorting_costs_in_proportion_to_the_vocabulary_and_bandwidth():
    small, large = (
        added_ps("nucleus", 65, vocab) - added_ps("nucleus", 1, vocab)
        for vocab in (32_000, 128_000)
    )
    assert large == pytest.approx(4 * small, rel=1e-6)
    least_s = 64 * 32_000 * COSTS["nucleus"].logit_bytes / H100.bytes_per_s
    assert small > least_s * 1e12


@pytest.mark.parametrize(
    ("model", "sampling"),
    [
        ("llama-2-70b", "nucleus"),
        ("llama-3.1-8b", "nucleus"),
        ("qwen2.5-7b", "nucleus"),
        ("mixtral-8x7b", "drawn"),
    ],
)
def test_requests_without_parameters_get_those_of_the_model(model, sampling):
    assert default_sampling(model) == sampling
