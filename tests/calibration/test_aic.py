import numpy as np
import pytest

from evaluators.calibration.held_out import shape_errors
from evaluators.calibration.importers import aic, names
from tests.calibration.data import data_folder

pyarrow = pytest.importorskip("pyarrow", reason="reading tables needs pyarrow")

GEMM = "gemm/vllm/0.24.0/gemm_perf.parquet"


def gemm_columns(**changes):
    m, n, k = (g.ravel() for g in np.meshgrid([1, 8], [64, 128], [64, 128]))
    columns = {
        "framework": ["VLLM"] * len(m),
        "device": ["NVIDIA H100 80GB HBM3"] * len(m),
        "gemm_dtype": ["bfloat16"] * len(m),
        **{"m": m, "n": n, "k": k, "latency": 0.01 + 0.001 * m},
    }
    return columns | changes


def written(folder, columns):
    from pyarrow import parquet

    path = folder / "h100_sxm" / GEMM
    path.parent.mkdir(parents=True)
    parquet.write_table(pyarrow.table(columns), path)
    return path


def without(columns, name):
    return {key: values for key, values in columns.items() if key != name}


H200 = ["NVIDIA H200"] * 8
TWICE = {key: np.tile(np.asarray(v), 2) for key, v in gemm_columns().items()}


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (
            gemm_columns(device=H200),
            r"measured on \['NVIDIA H200'\]; expected NVIDIA H1",
        ),
        (without(gemm_columns(), "latency"), "has no column 'latency'"),
        (without(gemm_columns(), "gemm_dtype"), "has no column 'gemm_dtype'"),
        (gemm_columns(gemm_dtype=["fp8"] * 8), "no row is {'gemm_dtype': 'bfloat16'}"),
        (gemm_columns(latency=np.full(8, -1.0)), "must be a positive number"),
        (gemm_columns(latency=np.full(8, np.nan)), "must be a positive number"),
        (
            TWICE | {"latency": np.linspace(1, 20, 16)},
            "shapes have rows that differ by a factor of",
        ),
        ({key: v[:0] for key, v in gemm_columns().items()}, "holds no rows"),
    ],
)
def test_a_table_that_cannot_be_right_gives_one_line_naming_its_file(
    tmp_path, columns, says
):
    path = written(tmp_path, columns)
    with pytest.raises(ValueError, match=says) as caught:
        aic.read(tmp_path, "h100_sxm")
    message = str(caught.value)
    assert str(path) in message and "\n" not in message


def test_a_file_cut_short_and_a_missing_one_are_named(tmp_path):
    path = written(tmp_path, gemm_columns())
    with pytest.raises(ValueError, match="attention/vllm holds no"):
        aic.read(tmp_path, "h100_sxm")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"gemm_perf\.parquet is no whole parquet"):
        aic.read(tmp_path, "h100_sxm")


def test_an_unknown_system_lists_those_there_are():
    with pytest.raises(ValueError, match=r"no system 'h1000'.*there are .*h100_sxm"):
        aic.read(None, "h1000")


def test_every_importer_is_found_by_its_file_name():
    assert "aic" in names()


@pytest.mark.slow
@pytest.mark.parametrize("gpu", ["h100_sxm", "h200_sxm"])
def test_whole_shapes_left_out_of_real_tables_are_predicted_within_5_percent(gpu):
    folder = data_folder(f"gpu/aiconfigurator/{gpu}") / "gpu/aiconfigurator"
    errors = shape_errors(aic.read(folder, gpu))
    families = {error.family for error in errors if error.is_inside}
    assert families >= {"gemm", "prefill_attention", "decode_attention", "moe"}
    assert families >= {"mla_prefill", "mla_decode", "all_reduce", "all_gather"}
    for error in errors:
        if error.is_inside or "longest" in error.left_out or "n of" in error.left_out:
            assert error.median <= 0.05, error
