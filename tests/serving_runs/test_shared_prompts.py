"""Which requests sent the same prompt, told by lengths alone."""

import numpy as np

from evaluators.serving_runs.shared_prompts import (
    period,
    prompt_of,
    repeated,
    usual_tokens,
)

OF_PROMPTS = np.array([50, 61, 55, 72, 48, 66, 58, 43, 79, 52])
SENT = np.tile(OF_PROMPTS, 40)


def test_the_shortest_period_of_the_lengths_is_found():
    assert period(SENT) == 10


def test_lengths_without_a_period_share_nothing():
    assert period(np.random.default_rng(0).integers(1, 5000, 400)) is None


def test_equal_lengths_tell_nothing():
    assert period(np.full(400, 64)) is None


def test_failed_requests_of_unknown_length_do_not_hide_the_period():
    sent = SENT.copy()
    sent[100:260] = 0
    assert period(sent) == 10
    assert usual_tokens(sent, 10).tolist() == OF_PROMPTS.tolist()


def test_two_requests_that_changed_places_keep_their_prompts():
    sent = SENT.copy()
    sent[[42, 43]] = sent[[43, 42]]
    prompt = prompt_of(sent, 10)
    assert prompt[[41, 42, 43, 44]].tolist() == [1, 3, 2, 4]


def test_requests_of_one_prompt_share_all_full_blocks_and_others_none():
    chains = repeated(prompt_of(SENT, 10), SENT, 16)
    assert chains.chain(3).tolist() == chains.chain(13).tolist()
    assert len(chains.chain(3)) == 72 // 16
    assert not set(chains.chain(3)) & set(chains.chain(4))
