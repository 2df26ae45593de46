"""Each format is known by its content, and read as what it says and hides."""

import gzip
import json
import math

import numpy as np
import pytest

from evaluators.calibration.calibration import load
from evaluators.serving_runs.host import FITTED_ON
from evaluators.serving_runs.measured import gpu_key, model_key
from evaluators.serving_runs.reader import collected, formats
from evaluators.serving_runs.replay import replayed
from tests.serving_runs.builders import plain_run, write_csv

OUTPUT = 11


def per_request(folder, names, requests=600, rate=2.0):
    """Experiments of two stages, ten prompts in turn, whose client counts badly."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    lengths = np.tile([50, 61, 55, 72, 48, 66, 58, 43, 79, 52], requests // 10)
    columns = {
        "experiment": [name for name in names for _ in range(requests)],
        "index": list(range(requests)) * len(names),
        "arrival_time_us": [int(i * 1e6 / rate) for i in range(requests)] * len(names),
        "input_tokens": lengths.tolist() * len(names),
        "output_tokens": [3] * requests * len(names),
        "prefix_group": [""] * requests * len(names),
        "has_error": [False] * requests * len(names),
        "ttft_s": ([9.0] * 20 + [0.1] * (requests - 20)) * len(names),
        "e2e_s": ([99.0] * 20 + [1.1] * (requests - 20)) * len(names),
    }
    parquet.write_table(pyarrow.table(columns), folder / "h100_vllm_a.parquet")
    told = [
        {
            "experiment": name,
            "model_id": "meta-llama/Llama-2-7b-hf",
            "profile": "general",
            "config": {"tensor_parallelism": 2, "max_num_seqs": 64,
                       "max_num_batched_tokens": 512, "kv_blocks_total_gpu": 900,
                       "block_size": 16},
        }
        for name in names
    ]  # fmt: skip
    (folder / "experiments.json").write_text(json.dumps(told))
    stages = [{"duration": requests / rate / 2, "rate": rate}] * 2
    data = {"shared_prefix": {"output_len": OUTPUT}, "type": "shared_prefix"}
    profile = {"load": {"stages": stages, "type": "constant"}, "data": data}
    with gzip.open(folder / "stage_metrics.jsonl.gz", "wt") as stream:
        for name in names:
            row = {"experiment": name, "vllm_config": {}, "client_profile": profile}
            stream.write(json.dumps(row) + "\n")


def test_requests_are_cut_shared_and_as_long_as_configured(tmp_path):
    per_request(tmp_path, ["a-general", FITTED_ON[0]])
    one, fit = collected(tmp_path).runs
    assert (one.model, one.gpu, one.tp) == ("llama-2-7b", "h100", 2)
    assert (one.limits.max_running, one.limits.kv_blocks) == (64, 900)
    assert set(one.trace.output_tokens.tolist()) == {OUTPUT}
    assert one.trace.prefixes.chain(3).tolist() == one.trace.prefixes.chain(13).tolist()
    assert (one.part, fit.part) == ("test", "fit")


def test_without_a_report_outputs_are_the_most_frequent_count_in_one_stage(tmp_path):
    per_request(tmp_path, ["a-general"])
    (tmp_path / "stage_metrics.jsonl.gz").unlink()
    run = collected(tmp_path).runs[0]
    assert set(run.trace.output_tokens.tolist()) == {2}
    assert [(s.first, s.last) for s in run.stages] == [(0, 600)]
    assert "most frequent count" in run.remarks[0]


def test_each_stage_is_measured_behind_its_first_minute(tmp_path):
    per_request(tmp_path, ["a-general"])
    first, second = collected(tmp_path).runs[0].stages
    assert (first.first, first.last, second.first, second.last) == (0, 300, 300, 600)
    assert first.measured["ttft_mean"] == pytest.approx(0.1)
    assert first.measured["tpot_mean"] == pytest.approx(1.0 / (OUTPUT - 1))
    assert first.running == pytest.approx(2.0 * 1.1, rel=0.01)
    assert first.cut_s == 60.0


def statistics_row(name, metric, value, **changed):
    values = {
        "experiment": name, "model": "mistralai/Mixtral-8x7B-v0.1",
        "workload": "general", "hardware": "H100", "precision": "FP16", "tp": "2.0",
        "dp": "1.0", "cpu_offload": "0.0", "gpu_mem_util": "0.9",
        "max_num_batched_tokens": "1024.0", "stage_index": "0",
        "metric_name": metric, "actual": str(value), "source": "results.csv",
        "distinct_values_for_key": "1",
    }  # fmt: skip
    return values | changed


def test_statistics_by_stage_need_a_workload_of_that_name(tmp_path):
    per_request(tmp_path, ["a-general"])
    rows = [
        statistics_row("1-mixtral", "e2e_mean", 2110.0),
        statistics_row("1-mixtral", "ttft_mean", 110.0),
        statistics_row("1-mixtral", "ttft_mean", 5.0, source="llmservingsim.csv"),
        statistics_row("1-mixtral", "itl_mean", 300.0),
        statistics_row("2-general-lite-1", "e2e_mean", 900.0),
        statistics_row("3-other", "e2e_mean", 900.0, workload="codegen"),
        statistics_row("4-pair", "e2e_mean", 900.0, dp="2.0"),
    ]
    write_csv(tmp_path / "latencies.csv.gz", rows)
    found = collected(tmp_path)
    run = next(run for run in found.runs if run.name == "1-mixtral")
    assert (run.model, run.tp, run.limits.max_step_tokens) == ("mixtral-8x7b", 2, 1024)
    stage = run.stages[0]
    assert stage.holds_warm_up
    assert stage.measured == pytest.approx({
        "e2e_mean": 2.11,
        "ttft_mean": 0.11,
        "tpot_mean": 2.0 / (OUTPUT - 1),
    })
    why = {each.name: each.why for each in found.left_out}
    assert why["2-general-lite-1"] == "its workload was not written down"
    assert why["3-other"] == "its workload was not written down"
    assert why["4-pair"].startswith("data parallel")


def test_a_run_that_is_there_request_by_request_is_not_counted_twice(tmp_path):
    per_request(tmp_path, ["a-general"])
    mean_ms = (20 * 99.0 + 580 * 1.1) / 600 * 1e3
    row = statistics_row("1-again", "e2e_mean", mean_ms, stage_index="-1")
    write_csv(tmp_path / "latencies.csv", [row])
    found = collected(tmp_path)
    assert [run.name for run in found.runs] == ["a-general"]
    assert found.left_out[0].why == "the same run as a-general, request by request"


def silicon_row(name, **changed):
    values = {
        "id": name, "silicon_data_source": "file; wip=False", "backend": "vllm",
        "backend_version": "", "model_path": "meta-llama/Llama-3.1-70B",
        "system": "h200_sxm", "precision": "fp8", "mode": "agg", "isl": "1024",
        "osl": "128", "batch_size": "4.0", "tp_size": "2.0",
        "attention_dp_size": "1.0", "moe_ep_size": "1.0",
        "silicon_ttft_ms": "100.0", "silicon_tpot_ms": "20.0",
    }  # fmt: skip
    return values | changed


def test_closed_loops_are_read_and_every_row_left_out_says_why(tmp_path):
    rows = [
        silicon_row("max"),
        silicon_row("equal", silicon_data_source="file", backend_version="0.15.1"),
        silicon_row("old", backend_version="0.12.0"),
        silicon_row("other", backend="sglang"),
        silicon_row("apart", mode="disagg"),
        silicon_row("empty", silicon_tpot_ms=""),
    ]
    write_csv(tmp_path / "sample.csv", rows)
    found = collected(tmp_path)
    named, equal = found.runs
    assert (named.model, named.gpu, named.bits) == ("llama-3.1-70b", "h200", 8)
    assert (named.concurrency, named.limits.max_running, named.kv_bits) == (4, 4, 8)
    assert len(named.trace) == 40
    assert named.trace.prompt_tokens.min() >= 819
    assert set(equal.trace.prompt_tokens.tolist()) == {1024}
    assert equal.stages[0].first == 4
    assert equal.stages[0].measured == {"ttft_mean": 0.1, "tpot_mean": 0.02}
    assert [each.name for each in found.left_out] == ["old", "other", "apart", "empty"]
    assert all(each.why for each in found.left_out)


def test_a_row_without_a_version_is_kept(tmp_path):
    write_csv(tmp_path / "sample.csv", [silicon_row("none", backend_version="")])
    assert [run.name for run in collected(tmp_path).runs] == ["none"]


def test_requests_of_another_clock_arrive_when_they_are_queued(tmp_path):
    folder = tmp_path / "RTXPRO6000" / "Qwen" / "vllm"
    folder.mkdir(parents=True)
    kwargs = {"model": "Qwen/Qwen3-32B", "tensor_parallel_size": 2,
              "data_parallel_size": 1, "max_num_seqs": 9}  # fmt: skip
    meta = {"engine_kwargs": kwargs, "kv_cache": {"num_gpu_blocks": 70}}
    (folder / "meta.json").write_text(json.dumps(meta))
    row = {"input_toks": 30, "output_toks": 11, "arrival_time": 1e9}
    stamps = [(5.0, 5.5, 7.5), (4.0, 4.5, 6.5)]
    lines = [
        json.dumps(row | {"queued_ts": q, "first_token_ts": f, "last_token_ts": e})
        for q, f, e in stamps
    ]
    (folder / "requests.jsonl").write_text("\n".join(lines))
    run = collected(tmp_path).runs[0]
    assert (run.gpu, run.model, run.tp) == ("rtxpro6000", "qwen3-32b", 2)
    assert run.limits.kv_blocks == 70
    assert run.trace.arrived_ps.tolist() == [0, 10**12]
    assert run.stages[0].measured["tpot_mean"] == pytest.approx(0.2)
    assert run.stages[0].measured["ttft_p50"] == pytest.approx(0.5)


def test_one_s_own_run_is_read_by_stage_and_with_its_prompts(tmp_path):
    rows = [(float(i), 40, 11, 0.1, 1.1) for i in range(20)]
    plain_run(tmp_path / "mine", rows, cut_s=5.0, kv_blocks=50)
    run = collected(tmp_path).runs[0]
    assert (run.name, run.limits.kv_blocks) == ("mine", 50)
    assert run.stages[0].measured["tpot_mean"] == pytest.approx(0.1)
    assert run.stages[0].load == 1.0


def test_a_description_that_lacks_something_is_refused_in_one_line(tmp_path):
    path = plain_run(tmp_path / "mine", [(0.0, 40, 11, 0.1, 1.1)])
    path.with_name("run.json").write_text('{"name": "mine", "gpu": "H100"}')
    with pytest.raises(ValueError, match=r"lacks model, tp, max_running, max_st"):
        collected(tmp_path)


def test_stages_that_overlap_are_refused(tmp_path):
    rows = [(float(i), 40, 11, 0.1, 1.1) for i in range(4)]
    path = plain_run(tmp_path / "mine", rows)
    head, *lines = path.read_text().splitlines()
    staged = [f"{line},{'ab'[i % 2]}" for i, line in enumerate(lines)]
    path.write_text("\n".join([f"{head},stage", *staged]) + "\n")
    with pytest.raises(
        ValueError, match=r"requests of stage 'b' lie among those of st"
    ):
        collected(tmp_path)


def test_a_damaged_description_is_told_in_one_line_with_the_format(tmp_path):
    path = plain_run(tmp_path / "mine", [(0.0, 40, 11, 0.1, 1.1)])
    for content in (b"", b'{"name": ', b"\xff{}", b"[" * 99999, b"9" * 5000):
        path.with_name("run.json").write_bytes(content)
        says = r"cannot be read .* format plain: \S*/run.json: .*expected a JSON object"
        with pytest.raises(ValueError, match=says):
            collected(tmp_path)
    path.with_name("run.json").write_text("[]")
    with pytest.raises(ValueError, match=r"run.json holds a list; expected a JSON obj"):
        collected(tmp_path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"max_runing": 3}, "unknown keys max_runing"),
        ({"tp": 0}, "tp is 0; expected an integer, 1 to 1048576"),
        ({"kv_blocks": "many"}, "kv_blocks is 'many'; expected an integer"),
        ({"is_asynchronous": "false"}, "is_asynchronous is 'false'; expected true or"),
        ({"max_running": 10**9}, "max_running is 1000000000; expected an integer, 1"),
        ({"max_step_tokens": 10**9}, "max_step_tokens is 1000000000; expected an int"),
        ({"kv_blocks": 10**23}, r"kv_blocks is 10+; expected an integer, 1 to 21"),
        ({"cut_s": 10**400}, r"cut_s is 10+\.\.\.; expected seconds from 0 to"),
        ({"cut_s": math.nan}, "cut_s is nan; expected seconds"),
        ({"cut_s": 99.0}, "no request ended behind cut_s"),
    ],
)
def test_a_description_of_what_cannot_be_names_the_key(tmp_path, changes, says):
    plain_run(tmp_path / "mine", [(0.0, 40, 11, 0.1, 1.1), (1, 40, 11, "", "")])
    path = tmp_path / "mine" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=says):
        collected(tmp_path)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "no requests below the header"),
        ([(0.0, 40, 11, 0.1)], "line 2 has not as many cells as the header"),
        ([(0.0, 40, 0, 0.1, 1.1)], "line 2: output_tokens is '0'; expected an integ"),
        ([(0.0, "40.0", 9, 0.1, 1.1)], "prompt_tokens is '40.0'; expected an integer"),
        ([(0.0, 40, 10**22, 0.1, 1.1)], "line 2: output_tokens is '10+'; expected an"),
        ([(0.0, "9" * 5000, 9, 0.1, 1.1)], r"prompt_tokens is '9+\.\.\.; expected an"),
        ([(1e300, 40, 9, 0.1, 1.1)], "line 2: arrived_s is '1e.300'; expected sec"),
        ([(0, 40, 9, 1, 2), (1e8, 40, 9, 1, 2)], "line 3: arrived_s .* earliest 0; ex"),
        ([(0, 40, 9, 0.1, 1e300)], "e2e_s '1e.300'; expected .* at most 4000000"),
        ([("nan", 40, 9, 0.1, 1.1)], "arrived_s is 'nan'; expected seconds from 0"),
        ([(0.0, 40, 9, 1.1, 0.1)], "ttft_s '1.1', e2e_s '0.1'; expected seconds"),
        ([(0.0, 40, 9, "", "")], "no request ended"),
    ],
)
def test_a_request_that_cannot_be_names_its_line_and_cell(tmp_path, rows, says):
    path = plain_run(tmp_path / "mine", [(0.0, 40, 11, 0.1, 1.1)])
    head = path.read_text().splitlines()[0]
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join([head, *lines]))
    with pytest.raises(ValueError, match=says):
        collected(tmp_path)


def test_requests_that_take_longer_than_the_clock_counts_are_named(tmp_path):
    plain_run(tmp_path / "mine", [(0.0, 40, 1 << 24, 0.1, 1.1)] * 4, kv_blocks=1 << 30)
    run = collected(tmp_path).runs[0]
    with pytest.raises(ValueError, match=r"^mine: .* 106 days .* expected fewer or sh"):
        replayed(run, load("llama31_8b_h100"))


def test_files_that_are_no_text_are_in_no_format(tmp_path):
    plain_run(tmp_path / "mine", [(0.0, 40, 11, 0.1, 1.1), (1.0, 40, 11, 0.1, 1.1)])
    (tmp_path / "noise.csv").write_bytes(bytes(range(128, 256)))
    (tmp_path / "noise.csv.gz").write_bytes(b"no gzip")
    (tmp_path / "noise.parquet").write_bytes(b"no parquet")
    found = collected(tmp_path)
    assert [run.name for run in found.runs] == ["mine"]
    assert set(found.unknown) == {"noise.csv", "noise.csv.gz", "noise.parquet"}
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "run.json").write_text("{}")
    assert "run.json" in collected(tmp_path).unknown


def test_a_place_without_runs_says_what_the_formats_are(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ValueError, match="holds no measured runs; formats are blis"):
        collected(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist; name a file or"):
        collected(tmp_path / "nowhere")


def test_every_file_of_the_folder_of_formats_is_one(tmp_path):
    assert {"blis", "sim2real", "silicon", "llmservingsim", "plain"} <= set(formats())
    nothing = tmp_path / "nothing.csv"
    nothing.write_text("a,b\n1,2\n")
    assert not any(each.recognises(nothing) for each in formats().values())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("meta-llama/Llama-2-70b-hf", "llama-2-70b"),
        ("mistralai/Mixtral-8x7B-v0.1", "mixtral-8x7b"),
        ("nvidia/Llama-3.1-8B-Instruct-FP8", "llama-3.1-8b"),
        ("meta-llama/Meta-Llama-3.1-70B", "llama-3.1-70b"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama-3.1-8b"),
        ("llama-3-1-8b", "llama-3.1-8b"),
        ("nvidia/Llama-3.3-70B-Instruct-FP8", "llama-3.1-70b"),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", "qwen3-30b-a3b"),
    ],
)
def test_what_changes_no_size_is_no_part_of_a_models_name(path, name):
    assert model_key(path) == name


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("H100", "h100"),
        ("h100-sxm-80g", "h100"),
        ("A100-80GB", "a100"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("RTXPRO6000", "rtxpro6000"),
        ("gb200", "gb200"),
        ("Some New Chip", "some-new-chip"),
    ],
)
def test_a_gpu_has_one_name_however_it_is_written(name, key):
    assert gpu_key(name) == key
