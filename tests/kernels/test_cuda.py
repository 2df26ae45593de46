"""On a CUDA device: kernels are right, a graph is the eager step, all is measured."""

import pytest

from evaluators.kernels import grid, provenance
from evaluators.kernels.__main__ import main
from evaluators.kernels.table import read_table

pytestmark = pytest.mark.gpu
SMALL = grid.small()


@pytest.fixture(scope="module")
def device(torch):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    from evaluators.kernels.bench import Effort, bench

    return bench("cuda", Effort(3, 5, 0.01))


@pytest.mark.parametrize("contexts", [[1], [100] * 3, [1, 17, 300, 64, 65], [5000, 3]])
@pytest.mark.parametrize("layout", [(32, 8, 128), (8, 8, 64), (14, 2, 128)])
def test_paged_decode_attention_is_that_of_float64(device, contexts, layout):
    from evaluators.kernels.decode_attention import kernels

    (found,) = kernels(device, contexts, layout)
    assert found.error < device.tolerance


def test_a_graph_gives_the_tokens_of_the_eager_step(device):
    from functools import partial

    from evaluators.kernels import model, step_plan, steps

    made = model.build(device, SMALL.model, 2, 40)
    plan = step_plan.plan(device, made, steps.CHECKED)
    run = partial(model.step, made, plan)
    eager = run()
    replay, tokens = steps.captured(run)
    tokens.zero_()
    replay()
    device.synchronize()
    assert tokens.equal(eager)


def test_everything_is_measured_on_the_device(device, tmp_path):
    words = ["--device", "cuda", "--small", "--minutes", "2", "--out", str(tmp_path)]
    assert main(words) == 0
    who = provenance.read(tmp_path)
    assert who.kind == "cuda"
    assert who.driver
    steps = read_table(tmp_path / "steps.csv")
    assert set(steps["mode"]) == {"eager", "graph"}
    copies = read_table(tmp_path / "copies.csv")
    assert set(copies["direction"]) == {"to_device", "to_host", "both", "within"}
