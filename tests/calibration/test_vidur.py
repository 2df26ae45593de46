import gzip
import itertools

import numpy as np
import pytest

from evaluators.calibration.importers import vidur
from evaluators.calibration.importers.asked import Asked
from evaluators.calibration.shapes import GPUS, MODELS
from evaluators.calibration.shipped import text
from tests.calibration.data import data_folder

ASKED = Asked("a100", "llama-2-70b", 2)
MODEL, A100 = MODELS["llama-2-70b"], GPUS["a100-sxm-80g"]


def packed(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(lines).encode()))


def tables(folder, dense=True):
    names = [*vidur.TIMES_A_LAYER, "emb"] if dense else ["emb"]
    head = ",".join(f"time_stats.{name}.median" for name in names)
    lines = [f"num_tokens,num_tensor_parallel_workers,{head}"]
    for tokens, ranks in itertools.product((1, 64, 4096), (1, 2)):
        times = ",".join([str(tokens / ranks / 1000)] * len(names))
        lines.append(f"{tokens},{ranks},{times}")
    packed(folder / vidur.DENSE, lines)
    lines = ["batch_size,prefill_chunk_size,kv_cache_size"]
    lines[0] += ",time_stats.attn_decode.median,time_stats.attn_prefill.median"
    for batch, context in itertools.product((1, 8), (32, 512)):
        lines.append(f"{batch},0,{context},{batch * context / 1000},")
    for chunk, context in itertools.product((64, 512), (0, 512)):
        lines.append(f"1,{chunk},{context},,{chunk * (chunk + 2 * context) / 1e6}")
    packed(folder / vidur.ATTENTION, lines)
    lines = ["num_workers,devices_per_node,size,time_stats.all_reduce.median"]
    lines += [f"2,2,{size},{size / 1e9}" for size in (16384, 1638400)]
    packed(folder / vidur.NETWORK, [*lines, "2,1,16384,99", "4,4,16384,99"])
    return folder


def one(value):
    return np.array([float(value)])


def test_a_step_is_the_sum_of_the_profiled_operations(tmp_path):
    sums = vidur.layer_sums(tables(tmp_path), MODEL, A100)
    operations = (80 * 10 + 1) * 64 / 2 / 1e6
    reductions = 161 * 64 * 2 * 8192 / 1e12
    assert sums.tokens_s(one(64)) == pytest.approx(operations + reductions)
    assert sums.decode_s(one(8), one(512)) == pytest.approx(80 * 8 * 512 / 1e6)
    chunk = sums.prefill_s(one(1), one(512), one(512))
    assert chunk == pytest.approx(80 * 512 * (512 + 1024) / 1e9)
    floor = 2 * MODEL.hidden * MODEL.vocab / 2 / A100.bytes_per_s
    assert sums.head_s(one(1)) == pytest.approx(floor / vidur.HEAD_SHARE)


@pytest.mark.parametrize(
    "asked",
    [ASKED._replace(tp=4), ASKED._replace(model="yi-34b"), ASKED._replace(gpu="h100")],
)
def test_what_has_no_public_attention_is_refused(tmp_path, asked):
    with pytest.raises(ValueError, match="is public of llama-2-70b on 2 x a100 only"):
        vidur.calibration(tables(tmp_path), asked)


def test_a_missing_column_and_a_file_cut_short_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"mlp.csv.gz has no column time_stats.add"):
        vidur.layer_sums(tables(tmp_path, dense=False), MODEL, A100)
    path = tables(tmp_path) / vidur.NETWORK
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ValueError, match=r"all_reduce.csv.gz cannot be read"):
        vidur.layer_sums(tmp_path, MODEL, A100)


def test_the_shipped_file_is_what_the_profiles_give(shipped_text):
    name = "llama2_70b_tp2_a100_vidur"
    assert text(name, data_folder("gpu/vidur")) == shipped_text(name)
