import gzip
import itertools
from dataclasses import replace

import numpy as np
import pytest

from evaluators.calibration.calibration_file import step_time
from evaluators.calibration.importers import llmservingsim
from evaluators.calibration.importers.asked import Asked
from evaluators.calibration.shapes import MODELS
from evaluators.calibration.shipped import RECIPES, text
from tests.calibration.data import data_folder

ASKED = Asked("RTX4090", "llama-3.1-8b")
META = """profiler_version: 1.0.0
vllm_version: 0.19.0
cuda_version: '12.8'
gpu: NVIDIA GeForce RTX 4090
hardware: RTX4090
profiled_at: '2026-08-17T19:43:32+00:00'
"""


def attention_us(chunk, prefix, decodes, context):
    return 10 + chunk * (chunk + 2 * prefix) / 1e4 + decodes * context / 1e3


def tables():
    sizes = (0, 16, 256, 2048)
    dense = ["layer,tokens,time_us"]
    for layer, tokens in itertools.product(
        ("layernorm", "qkv", "embedding"), sizes[1:]
    ):
        dense.append(f"{layer},{tokens},{2 + tokens / 1000}")
    attention = ["prefill_chunk,kv_prefill,n_decode,kv_decode,time_us"]
    for chunk, prefix, n, context in itertools.product(sizes, sizes, (0, 1, 64), sizes):
        is_step = (chunk or not prefix) and bool(n) == bool(context) and chunk + n
        if is_step:
            time_us = attention_us(chunk, prefix, n, context)
            attention.append(f"{chunk},{prefix},{n},{context},{time_us}")
    rows = ["layer,sequences,time_us", "lm_head,1,700", "lm_head,256,800"]
    return {"dense": dense, "attention": attention, "per_sequence": rows}


def profile(folder, **changes):
    base = folder / "RTX4090/meta-llama/Llama-3.1-8B/bf16"
    (base / "tp1").mkdir(parents=True)
    (base / "meta.yaml").write_text(META)
    for name, lines in (tables() | changes).items():
        packed = gzip.compress("\n".join(lines).encode())
        (base / "tp1" / f"{name}.csv.gz").write_bytes(packed)
    return folder


def one(value):
    return np.array([float(value)])


def test_a_step_is_the_sum_of_its_profiled_layers(tmp_path):
    model = MODELS["llama-3.1-8b"]
    found = llmservingsim.read(profile(tmp_path), ASKED)
    sums = llmservingsim.layer_sums(found, model, ASKED)
    layer_us = 2.256
    expected = (32 * (2 * layer_us + layer_us) + layer_us) * 1e-6
    assert sums.tokens_s(one(250)) == pytest.approx(expected)  # padded to 256
    assert sums.head_s(one(256)) == pytest.approx(800e-6)
    decode = 32e-6 * attention_us(0, 0, 64, 256)
    assert sums.decode_s(one(64), one(256)) == pytest.approx(decode)
    chunk = 32e-6 * attention_us(256, 16, 0, 0)
    assert sums.prefill_s(one(1), one(256), one(16)) == pytest.approx(chunk)
    twice = sums.prefill_s(one(2), one(256), one(16))
    assert twice == pytest.approx(2 * chunk - sums.start_s())


def test_tables_are_thinned_for_an_error_but_keep_their_ends(tmp_path):
    found = llmservingsim.read(profile(tmp_path), ASKED)
    sums = llmservingsim.layer_sums(found, MODELS["llama-3.1-8b"], ASKED)
    fewer = sums.without_own()
    curve, thin = sums.tokens["qkv"][1], fewer.tokens["qkv"][1]
    assert (thin.sizes[0], thin.sizes[-1]) == (curve.sizes[0], curve.sizes[-1])
    contexts = sums.chunks.batches
    assert len(fewer.chunks.batches) < len(contexts)
    assert fewer.chunks.batches[-1] == contexts[-1]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dense": ["layer,time_us", "qkv,3"]}, r"dense.csv.gz has no column tokens"),
        (
            {"dense": ["layer,tokens,time_us"]},
            r"dense.csv.gz has no column .*, or no ro",
        ),
        (
            {"dense": ["layer,tokens,time_us", "qkv,1,2", "qkv,1,3"]},
            r"dense.csv.gz has rows of the same layer, tokens",
        ),
        (
            {"dense": ["layer,tokens,time_us", "qkv,1,-2"]},
            r"dense.csv.gz: time_us must be a positive number",
        ),
        (
            {"dense": ["layer,tokens,time_us", "qkv,1,soon"]},
            r"dense.csv.gz holds what is no number",
        ),
    ],
)
def test_a_broken_profile_gives_one_line_naming_its_file(tmp_path, changes, says):
    with pytest.raises(ValueError, match=says) as caught:
        llmservingsim.read(profile(tmp_path, **changes), ASKED)
    assert "\n" not in str(caught.value)


def test_a_profile_of_another_gpu_or_cut_short_is_named(tmp_path):
    base = profile(tmp_path) / "RTX4090/meta-llama/Llama-3.1-8B/bf16"
    path = base / "tp1/attention.csv.gz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"attention.csv.gz cannot be read"):
        llmservingsim.read(tmp_path, ASKED)
    (base / "tp1/attention.csv.gz").write_bytes(
        gzip.compress("\n".join(tables()["attention"]).encode())
    )
    (base / "meta.yaml").write_text(META.replace("RTX4090", "RTX5090"))
    with pytest.raises(ValueError, match=r"meta.yaml is of RTX5090; expected RTX4090"):
        llmservingsim.read(tmp_path, ASKED)


@pytest.mark.parametrize(
    "name", [name for name, r in RECIPES.items() if r.source == "llmservingsim"]
)
def test_shipped_files_are_what_the_profiles_give(name, shipped_text):
    folder = data_folder("gpu/llmservingsim/perf")
    assert text(name, folder) == shipped_text(name)


def test_mixed_steps_are_told_on_those_the_fit_did_not_see():
    folder = data_folder("gpu/llmservingsim/perf") / llmservingsim.FOLDER
    made = llmservingsim.calibration(folder, Asked("RTXPRO6000", "llama-3.1-8b"))
    times = step_time(made.content["step_time"])
    without = replace(times, beside_decode_ps=0, beside_context_ps=0)
    told = made.content["error"]["regimes"]
    mixed = {n: s for n, s in made.steps.items() if llmservingsim.TOGETHER in n}
    assert len(mixed) == 3 and llmservingsim.MIXED not in told
    for name, steps in mixed.items():
        error = np.median(np.abs(steps.errors(times)))
        assert told[name][0] == pytest.approx(error, rel=0.01)
        assert abs(np.median(steps.errors(times))) < 0.04
    many = mixed[f"{llmservingsim.TOGETHER}, batch 65-512"]
    assert np.median(many.errors(without)) < -0.15
