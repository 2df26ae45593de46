"""Sampled steps run as whole-model steps on this CPU; the whole way, slowly."""

import json

import pytest

from adrs.main import main
from evaluators.kernels.step_shape import StepShape


def test_every_step_gets_a_time_and_more_work_takes_longer(torch):
    from evaluators.kernels import replay

    steps = [
        StepShape((), (9,)),
        StepShape(((0, 64),), (9, 70)),
        StepShape(((256, 128),), (9, 300) * 9),
    ]
    found = replay.timed("cpu", "tiny-llama", steps, seed=0)
    assert list(found.seconds) == sorted(found.seconds)
    assert found.seconds[0] > 0
    assert found.device.endswith("one thread")


@pytest.mark.parametrize(
    ("kind", "model", "message"),
    [
        ("cpu", "llama-9", "no sizes of"),
        ("cpu", "mixtral-8x7b", "kernel_replay runs dense models"),
    ],
)
def test_a_model_that_cannot_be_run_is_refused_beforehand(torch, kind, model, message):
    from evaluators.kernels import replay

    with pytest.raises(ValueError, match=message):
        replay.check(kind, model)


def test_a_model_larger_than_the_memory_is_refused(torch):
    from evaluators.kernels import replay

    with pytest.raises(ValueError, match=r"GiB for llama-3.1-8b"):
        replay.timed("cpu", "llama-3.1-8b", [StepShape((), (9,))], seed=0)


@pytest.mark.slow
def test_a_run_replays_its_finalists_and_goes_on_without_measuring_again(
    torch, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = ["evolve", "deployment=cpu_tiny", "kernel_replay=cpu", "run=k"]
    words += ["budget.evaluations=4", "problem.n_requests=40", "tracking=off"]
    words += ["problem.train_seeds=1", "problem.validation_seeds=2", "contenders=1"]
    words += ["problem.regimes=[1.0]", "isolation=rlimits"]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert "kernel replay of tiny-llama on" in first
    journal = tmp_path / "runs" / "k" / "journal.jsonl"
    before = journal.read_bytes()
    lines = [json.loads(line) for line in before.splitlines()]
    (facts,) = [line["facts"] for line in lines if line.get("kind") == "kernels"]
    assert all(min(each["measured_s"]) > 0 for each in facts["policies"])
    (tmp_path / "runs" / "k" / "summary.txt").unlink()
    assert main(words) == 0
    assert capsys.readouterr().out == first
    assert journal.read_bytes() == before
    assert main(["replay", "k"]) == 0
