"""Policies beside the judged one: named by a configuration, in force, and stamped."""

import json

import pytest

from adrs.companions import companions
from adrs.exams import scenarios, sitting
from adrs.main import main
from adrs.settings import Arguments, SettingsError, settings
from adrs.validation import identity
from evaluators.problem import Exam, Standard
from evaluators.problems import names
from tests.problems.builders import source

SMALL = ("problem.n_requests=30", "problem.regimes=[1.5]", "problem.train_seeds=1")


def sat(folder, *overrides):
    """Name of the train exams, and the scenarios."""
    words = ("problem=eviction", *SMALL, *overrides)
    at = sitting(settings("evolve", Arguments((), words)), folder / "found.json")
    drawn = scenarios(at, "train")
    return identity(at, [Exam(each, Standard(1.0, {})) for each in drawn]), drawn


def test_every_problem_has_a_key_that_is_null_by_default():
    assert dict(settings("evolve", Arguments((), ())).companions) == dict.fromkeys(
        names()
    )


def test_a_baseline_that_is_named_is_in_every_scenario_and_in_the_exams_name(tmp_path):
    plain, alone = sat(tmp_path)
    named, beside = sat(tmp_path, "companions.scheduling=shortest_prompt")
    assert all(not scenario.companions for scenario in alone)
    assert all(
        scenario.companions == {"scheduling": source("shortest_prompt")}
        for scenario in beside
    )
    assert "scheduling by shortest_prompt" in named
    assert "scheduling by" not in plain
    assert named.split("(")[1] != plain.split("(")[1]


def test_a_file_is_a_companion_by_its_text(tmp_path):
    own = tmp_path / "mine.py"
    own.write_text(source("shortest_prompt"))
    first, _ = sat(tmp_path, f"companions.scheduling={own}")
    own.write_text(source("srpt"))
    second, _ = sat(tmp_path, f"companions.scheduling={own}")
    assert "scheduling by mine" in first
    assert first != second


def test_a_companion_changes_what_a_policy_scores_and_is_told(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)

    def score(*words):
        head = ["score", "lru", "problem=eviction", "format=json", *SMALL]
        assert main([*head, *words]) == 0
        return json.loads(capsys.readouterr().out)

    alone, beside = score(), score("companions.scheduling=shortest_prompt")
    assert beside["companions"]["scheduling"] == "shortest_prompt"
    times = [each["outcomes"][0]["metrics"]["ttft_mean_s"] for each in (alone, beside)]
    assert times[0] != times[1]


@pytest.mark.parametrize(
    ("problem", "name", "said"),
    [
        ("scheduling", "shortest", "the baselines of scheduling are aged_shortest"),
        ("eviction", "lru", "but eviction is what is judged here; expected null"),
    ],
)
def test_what_is_no_companion_is_refused_in_one_line(problem, name, said):
    with pytest.raises((ValueError, FileNotFoundError), match=said) as caught:
        companions({problem: name}, "eviction")
    assert f"companions.{problem}" in str(caught.value)


def test_a_file_that_is_no_policy_of_its_problem_is_refused(tmp_path):
    own = tmp_path / "mine.py"
    own.write_text(source("fcfs").replace("admit_key", "admit"))
    with pytest.raises(ValueError, match=r"no policy of it: no class has one of"):
        companions({"scheduling": str(own)}, "eviction")


def test_a_companion_of_no_problem_is_refused_with_the_nearest():
    with pytest.raises(SettingsError, match=r"did you mean companions.scheduling"):
        settings("evolve", Arguments((), ("companions.schedulng=fcfs",)))
