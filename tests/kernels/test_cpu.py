"""The kernels of a CPU and the checks that hold them; without torch all of it skips."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from evaluators.kernels import grid, provenance
from evaluators.kernels.__main__ import main
from evaluators.kernels.step_shape import StepShape
from evaluators.kernels.table import read_table

SMALL = grid.small()


def measured(folder, *more):
    words = ["--device", "cpu", "--small", "--minutes", "1", "--out", str(folder)]
    return main([*words, *more])


@pytest.fixture(scope="session")
def folder(torch, tmp_path_factory):
    made = tmp_path_factory.mktemp("measured")
    assert measured(made) == 0
    return made


def test_one_command_leaves_every_table_with_its_errors_and_who_measured(folder):
    from evaluators.kernels import measuring

    for name in measuring.names():
        table = read_table(folder / f"{name}.csv")
        assert (table["seconds_p10"] <= table["seconds_p50"]).all()
        assert (table["seconds_p50"] <= table["seconds_p90"]).all()
        assert (table["max_error"] <= 1e-4).all()
        assert (table["repeats"] >= 3).all()
    who = provenance.read(folder)
    assert (who.kind, who.dtype, who.threads) == ("cpu", "float32", 1)
    assert "--small" in who.command


def test_a_second_call_measures_nothing_again_and_changes_no_row(folder, capsys):
    before = (folder / "gemm.csv").read_bytes()
    assert measured(folder, "--only", "gemm") == 0
    assert "0 sizes measured" in capsys.readouterr().err
    assert (folder / "gemm.csv").read_bytes() == before


def test_no_time_is_left_for_anything_when_none_is_given(torch, tmp_path, capsys):
    assert measured(tmp_path, "--minutes", "0", "--only", "gemm") == 0
    assert "0 sizes measured" in capsys.readouterr().err


def test_tables_of_another_clock_are_not_gone_on_with(folder, capsys):
    assert measured(folder, "--wall") == 1
    assert "measured with clock" in capsys.readouterr().err


def test_an_operation_that_is_none_is_refused(torch, tmp_path, capsys):
    assert measured(tmp_path, "--only", "gem") == 1
    assert "no operation 'gem'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_wrong_kernel_is_never_timed(bench):
    from evaluators.kernels.operation import Candidate, measure

    def forbidden():
        raise AssertionError("timed")

    def candidates(bench, grid, point):
        yield Candidate("wrong", [forbidden], 1e-2)
        yield Candidate("nan", [forbidden], float("nan"))
        yield Candidate("right", [lambda: sum(range(9))], 1e-6)

    found = measure(SimpleNamespace(candidates=candidates), bench, SMALL, ())
    assert found.kernel == "right"
    assert [each.split(":")[0] for each in found.refused] == ["wrong", "nan"]


def test_the_fastest_of_the_right_kernels_is_kept(bench):
    from evaluators.kernels.operation import Candidate, measure

    def candidates(bench, grid, point):
        yield Candidate("slow", [lambda: sum(range(200_000))], 0.0)
        yield Candidate("fast", [lambda: sum(range(2))], 0.0)

    found = measure(SimpleNamespace(candidates=candidates), bench, SMALL, ())
    assert found.kernel == "fast"


def test_a_part_of_the_inputs_is_drawn_again_for_each_rotation(bench):
    assert bench.rotations(1 << 30) == 2
    assert bench.rotations(1) > 8
    assert not bench.random(9).equal(bench.random(9))


@pytest.mark.parametrize("spoilt", ["qkv", "out", "up", "down", "keys", "values"])
def test_the_check_of_a_layer_sees_each_of_its_parts(bench, torch, spoilt):
    """Negative controls: one wrong part, and the error is far above what passes."""
    from evaluators.kernels import model, step_plan, steps

    made = model.build(bench, SMALL.model, 1, 40)
    plan = step_plan.plan(bench, made, steps.CHECKED)
    rows = len(plan.ids)
    x, residual = (bench.random(rows, SMALL.model.hidden) for _ in range(2))
    expected = steps._exact_layer(made, plan, x.double(), residual.double())
    right = model.layer(made, plan, 0, x, residual.clone())
    assert steps.error(right, expected) < bench.tolerance
    if spoilt in ("keys", "values"):
        getattr(made, spoilt)[0, :2] *= 1.5
    else:
        getattr(made.layers[0], spoilt)[3] *= 1.5
    wrong = model.layer(made, plan, 0, x, residual.clone())
    assert steps.error(wrong, expected) > 10 * bench.tolerance


def test_requests_of_a_step_do_not_touch_each_other(bench):
    """A step of several is as each of them alone on the same KV memory."""
    from evaluators.kernels import model, step_plan

    made = model.build(bench, SMALL.model, 2, 40)
    shape = StepShape(((16, 9),), (33, 7))
    plan = step_plan.plan(bench, made, shape)
    together = model.step(made, plan)
    assert together.shape == (3,)
    assert model.step(made, plan).equal(together)
    assert len(set(plan.slots.tolist())) == 9 + 2


def test_a_step_beyond_the_kv_memory_is_refused(bench):
    from evaluators.kernels import model, step_plan

    made = model.build(bench, SMALL.model, 1, 4)
    with pytest.raises(ValueError, match="needs 5 pages of KV; the model has 4"):
        step_plan.plan(bench, made, StepShape((), (65,)))


def test_a_model_with_experts_is_no_whole_step(bench):
    from evaluators.kernels import model

    plain = replace(SMALL.model, ffn_matrices=2)
    with pytest.raises(ValueError, match="dense model with a gated layer"):
        model.build(bench, plain, 1, 4)


@pytest.mark.parametrize("pattern", ["one", "spread"])
def test_unequal_contexts_have_the_mean_and_the_longest(torch, pattern):
    from evaluators.kernels.unequal_attention import contexts

    found = contexts(16, 512, 2048, pattern)
    assert max(found) == 2048
    assert sum(found) == pytest.approx(16 * 512, rel=0.01)


@pytest.mark.parametrize("exponent", [0.0, 0.6, 1.2])
@pytest.mark.parametrize("tokens", [1, 3, 64, 1000])
def test_experts_share_all_tokens_and_none_takes_one_twice(torch, exponent, tokens):
    from evaluators.kernels.experts import loads

    found = loads(tokens, 2, 8, exponent)
    assert sum(found) == 2 * tokens
    assert max(found) <= tokens
    assert found == sorted(found, reverse=True)


def test_the_nucleus_is_drawn_by_its_shares(bench, torch):
    from evaluators.kernels.sampling import nucleus

    logits = torch.tensor([[3.0, 3.0, -20.0, -30.0]]).repeat(4000, 1)
    chosen = nucleus(logits)
    assert set(chosen.tolist()) == {0, 1}
    assert abs(chosen.double().mean() - 0.5) < 0.05


def test_a_time_is_of_the_call_alone(bench):
    """A call of twice the work takes longer, whatever else the machine does."""
    work = partial(sum, range(300_000))
    twice = partial(sum, range(1_500_000))
    assert bench.timed([twice]).p10 > bench.timed([work]).p10
