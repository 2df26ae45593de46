import numpy as np
import pytest

from evaluators.calibration.attention_table import Layout
from evaluators.calibration.calibration import parse
from evaluators.calibration.calibration_file import as_text
from evaluators.calibration.importers import measured
from evaluators.calibration.importers.asked import Asked
from evaluators.calibration.step_time import Batch, StepTime
from evaluators.kernels.grid import cpu
from evaluators.kernels.step_shape import step_shape
from tests.kernels import tables
from tests.kernels.tables import OWN, SHAPE, decode_s, gemm_s, prefill_s

GPU = "h200-sxm-141g"
STEPS = [(Batch(0, 0, 8, 4096, 512), 1e-3), (Batch(16, 256, 0, 0, 0, 1, 16), 2e-3)]


def test_op_tables_give_the_medians_that_were_measured(tmp_path):
    tables.write(tmp_path)
    ops = measured.read(tmp_path, GPU, "float32")
    up = SHAPE.layer_matrices(1)[2]
    found = ops.gemm(np.array([64.0]), up.columns, up.rows)
    assert found == pytest.approx(gemm_s(64, up.columns, up.rows))
    one, layout = np.array([1.0]), Layout(*OWN)
    found = ops.prefill_attention(one, one * 512, one * 0, layout)
    assert found == pytest.approx(prefill_s(512, 0))
    found = ops.decode_attention(one * 8, one * 512, layout)
    assert found == pytest.approx(decode_s(8, 512))


def test_steps_come_as_samples_of_one_mode(tmp_path):
    tables.write(tmp_path, STEPS)
    found = measured.samples(tmp_path)
    assert found.seconds.tolist() == [1e-3, 2e-3]
    assert found.prefill_work.tolist() == [0, 256]
    with pytest.raises(ValueError, match="no steps 'graph'; there are"):
        measured.samples(tmp_path, "graph")


@pytest.mark.parametrize(
    ("gpu", "dtype", "message"),
    [
        ("h201", "float32", "no data sheet 'h201'; there are"),
        (GPU, "bfloat16", "measured in float32, not bfloat16"),
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path, gpu, dtype, message):
    tables.write(tmp_path)
    with pytest.raises(ValueError, match=message):
        measured.read(tmp_path, gpu, dtype)


def test_a_folder_without_tables_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(ValueError, match="no measured tables"):
        measured.read(tmp_path, GPU)
    with pytest.raises(ValueError, match=r"python -m evaluators\.kernels"):
        measured.read(None, GPU)


def test_a_cpu_calibration_is_fitted_to_steps_and_judged_on_those_it_did_not_see(
    tmp_path,
):
    """Steps of a made-up step time: the fit finds it again."""
    true = StepTime(
        tokens_ps=(0, *range(500_000_000, 502_000_000, 1000)),
        decodes_ps=(0, 80_000_000),
        context_ps=((100_000,),),
        prefill_token_ps=15_000_000,
        prefill_work_ps=6_000,
        longest_context_ps=20_000,
    )
    batches = [step_shape(size).batch for size in cpu(SHAPE).steps]
    steps = {batch: true.duration_ps(batch) / 1e12 for batch in batches}
    tables.write(tmp_path, list(steps.items()))
    made = measured.calibration(tmp_path, Asked("epyc-core", SHAPE.name))
    for regime, (median, p90) in made.content["error"]["regimes"].items():
        assert median < 0.01, regime
        assert p90 < 0.03, regime
    loaded = parse("tiny_llama_cpu", as_text(made.content))
    assert loaded.status == "fitted from measured steps"
    assert np.abs(measured.samples(tmp_path).errors(loaded.step_time)).max() < 0.03
    seen, unseen = measured.held_out(measured.samples(tmp_path))
    assert len(seen) + len(unseen) == len(steps)


@pytest.mark.parametrize(
    ("gpu", "model", "message"),
    [
        (GPU, SHAPE.name, "measured on a processor, no h200-sxm-141g"),
        ("epyc-core", "llama-3.1-8b", "has steps of tiny-llama, not of llama-3.1-8b"),
    ],
)
def test_a_calibration_of_another_device_or_model_is_refused(
    tmp_path, gpu, model, message
):
    tables.write(tmp_path, STEPS)
    with pytest.raises(ValueError, match=message):
        measured.calibration(tmp_path, Asked(gpu, model))


def test_steps_without_their_columns_are_refused_by_name(tmp_path):
    (tmp_path / "steps.csv").write_text("mode,seconds_p50\neager,1\n")
    with pytest.raises(ValueError, match=r"steps.csv has no column context_tokens, de"):
        measured.samples(tmp_path)
