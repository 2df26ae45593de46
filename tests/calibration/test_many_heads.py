"""Attention of more KV heads than vLLM's tables hold comes from the same kernel's."""

import numpy as np
import pytest

from evaluators.calibration.attention_table import Layout
from evaluators.calibration.calibration import load
from evaluators.calibration.importers import aic
from tests.calibration.data import data_folder

MANY = Layout(32, 32, 128)


@pytest.fixture(scope="module")
def tables():
    pytest.importorskip("pyarrow", reason="reading kernel tables needs pyarrow")
    return aic.read(data_folder("gpu/aiconfigurator/h100_sxm") / aic.FOLDER, "h100_sxm")


def test_own_heads_are_measured_and_not_scaled_in_the_batch(tables):
    decode = tables.attention["decode_attention"]
    assert decode.shares(MANY)[0].batch_scale == 1.0
    scaled = decode.without([own for own in decode.sheets if own.kv_heads > 8])
    assert scaled.shares(MANY)[0].batch_scale == 4.0


def test_measured_and_scaled_agree_within_a_quarter(tables):
    decode = tables.attention["decode_attention"]
    scaled = decode.without([own for own in decode.sheets if own.kv_heads > 8])
    batch, context = np.array([8.0, 16.0, 64.0]), np.array([1024.0, 2048.0, 1024.0])
    ratio = decode.seconds(batch, context, MANY) / scaled.seconds(batch, context, MANY)
    assert np.all((ratio > 0.75) & (ratio < 1.25))


def test_few_heads_stay_those_of_vllm(tables):
    columns = tables.columns["decode_attention"]
    few = np.asarray(columns["kv_heads"], int) <= aic.MOST_KV_HEADS
    assert "fa3" not in set(np.asarray(columns["kernel_source"])[few])
    assert set(np.asarray(columns["kernel_source"])[~few]) == {"fa3"}


def test_the_file_says_who_timed_it():
    assert aic.OTHER in load("llama2_7b_h100").provenance.who
    assert aic.OTHER not in load("llama31_8b_h100").provenance.who
