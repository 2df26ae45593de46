"""What a device says of finalists' steps: journaled once, shown, and what it hides."""

import json
from dataclasses import replace

import pytest

from adrs import kernel_replay, sandbox
from adrs.archive import Archive
from adrs.decisions import unseal
from adrs.kernel_replay import KernelReplay, Replayed
from adrs.leaderboard import JOURNAL, rows
from adrs.main import main
from adrs.records import Event, Header
from adrs.replaying import Recorded
from adrs.sandbox import Limits
from adrs.summary import _kernels
from evaluators.kernels.schedule import steps_of
from evaluators.load import load_policy
from evaluators.problems import load
from tests.problems.small import small
from tests.test_verdict import SEED, contender, verdict

EVOLVED = contender("new", "evolved", 0.6, (0.52,) * 4)
FOUND = verdict(SEED, EVOLVED)


def replay(seed_error, own_error):
    """Predictions that are off by so much, each way in turn."""
    policies = tuple(
        Replayed(name, (1 + error, 1 - error, 2 + 2 * error), (1.0, 1.0, 2.0))
        for name, error in (("seed", seed_error), ("new", own_error))
    )
    return KernelReplay("a device", "events", "tiny_llama_cpu", "tiny", policies)


def test_the_error_counts_both_signs_and_the_bias_lets_them_cancel():
    found = Replayed("x", (1.1, 0.9), (1.0, 1.0))
    assert found.error == pytest.approx(0.1)
    assert found.bias == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("seed_error", "own_error", "hidden"),
    [
        (0.01, 0.01, False),
        (0.05, 0.01, True),
        (0.01, 0.05, True),
        (0.039, 0.039, False),
    ],
)
def test_a_gain_below_the_error_of_either_policy_is_hidden(
    seed_error, own_error, hidden
):
    """The gain is 0.02 over a seed of 0.5: 4 % of it."""
    assert replay(seed_error, own_error).hides(FOUND, EVOLVED) is hidden


def test_nothing_hides_the_best_seed_or_who_was_not_replayed():
    other = contender("other", "evolved", 0.6, (0.5,) * 4)
    found = replay(0.5, 0.5)
    assert not found.hides(FOUND, SEED)
    assert found.error(FOUND, other) is None
    assert not found.hides(verdict(SEED, other), other)


def test_a_replay_survives_the_journal():
    found = replay(0.1, 0.2)
    assert kernel_replay.read(json.loads(json.dumps(found.facts()))) == found


def journal(path, found):
    path.parent.mkdir(parents=True)
    with Archive.open(path, Header("scheduling", 0, "x")) as archive:
        archive.append(Event("verdict", 1, replace(FOUND, isolation="strict").facts()))
        archive.append(Event("kernels", 1, found.facts()))


def test_what_is_journaled_is_not_measured_again(tmp_path):
    path = tmp_path / "run" / JOURNAL
    journal(path, replay(0.1, 0.2))
    before = path.read_bytes()
    with Archive.open(path, Header("scheduling", 0, "x")) as archive:
        again = kernel_replay.replayed("cuda", None, archive, FOUND, "no calibration")
    assert again == replay(0.1, 0.2)
    assert path.read_bytes() == before


def test_switched_off_it_says_and_journals_nothing(tmp_path):
    with Archive.open(tmp_path / JOURNAL, Header("scheduling", 0, "x")) as archive:
        assert kernel_replay.replayed("off", None, archive, FOUND, "none") is None
        assert not archive.events


def test_the_leaderboard_marks_a_gain_that_the_error_hides(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    journal(tmp_path / "runs" / "one" / JOURNAL, replay(0.01, 0.1))
    found = {row.candidate: row for row in rows(tmp_path / "runs", "scheduling")}
    assert found["new"].within_error
    assert found["new"].kernel_error == pytest.approx(0.1)
    assert not found["seed"].within_error
    assert main(["leaderboard"]) == 0
    assert "10.0% HIDES THE GAIN" in capsys.readouterr().out


def test_the_summary_says_the_errors_and_what_they_hide():
    hidden = "\n".join(_kernels(FOUND, replay(0.01, 0.1)))
    assert "the winner: 3 steps, mean error 10.0%" in hidden
    assert "NOT BEYOND THE KERNEL ERROR: the gain over the best seed is +4.0%" in hidden
    assert "NOT BEYOND" not in "\n".join(_kernels(FOUND, replay(0.01, 0.01)))
    assert _kernels(FOUND, None) == []


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("kernel_replay=gpu", "expected one of off, cpu, cuda"),
        ("kernel_replay=cpu", "expected kernel_replay=cuda, or a deployment of this"),
        ("kernel_replay=cuda problem=eviction", "only problem=scheduling decides the"),
    ],
)
def test_what_cannot_be_replayed_is_told_before_anything_runs(
    tmp_path, monkeypatch, capsys, typed, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["evolve", *typed.split(), "budget.evaluations=1", "tracking=off"]) == 1
    said = capsys.readouterr()
    assert message in said.err
    assert "evolve |" not in said.err


POLICY = """
class Policy:
    def admit_key(self, waiting, engine):
        return waiting.prompt_tokens - 400.0 * (engine.now_s - waiting.arrived_s)

    def victim_key(self, running, engine):
        return running.generated_tokens

    def token_budget(self, engine):
        return 64 + 7 * engine.n_running
"""


def test_the_log_of_a_policy_gives_the_steps_of_the_policy_itself():
    """And neither is what the engine does by its own rules."""
    problem, exam = load("scheduling"), small("scheduling")
    limits = Limits(cpu_s=30, wall_s=120, memory_bytes=1 << 28)
    outcome = sandbox.evaluate(problem, POLICY, exam, limits)
    sandbox.close_zygote()
    recorded = Recorded(unseal(outcome.log, outcome.decisions), problem.hooks)
    own = load_policy(POLICY, problem.hooks)
    steps = list(steps_of(exam.scenario, recorded))
    assert recorded.n_left == 0
    assert steps == list(steps_of(exam.scenario, own))
    assert steps != list(steps_of(exam.scenario, None))
