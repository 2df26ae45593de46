"""What the README says can be typed can be typed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from adrs.settings import Arguments, settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
SMALL = (
    "problem.n_requests=30",
    "problem.regimes=[0.8]",
    "problem.train_seeds=1",
    "problem.validation_seeds=2",
)
SHORT = (*SMALL, "budget.evaluations=6")


def commands():
    """Every ``adrs`` command of the blocks, as words."""
    parts = [part for block in BLOCKS for part in re.split(r"\n|&&", block)]
    lines = [shlex.split(part) for part in parts]
    return [words[1:] for words in lines if words and words[0].endswith("/adrs")]


def adrs(words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "adrs.main", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("readme")


def test_there_are_exactly_two_commands_and_then_more_to_try():
    assert BLOCKS[0].strip().endswith("adrs evolve")
    assert BLOCKS[1].strip().endswith("-m pytest -n 2")
    assert [len(block.strip().splitlines()) for block in BLOCKS[:2]] == [1, 1]
    assert commands()[0] == ["evolve"]


def test_it_is_one_screen_and_warns():
    assert len(README.splitlines()) <= 80
    assert "Warning" in README
    assert "Do not run an untrusted model's code" in " ".join(README.split())


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command_works_with_a_small_budget(words, folder):
    runs = sorted(path.parent.name for path in folder.glob("runs/*/config.json"))
    words = [runs[0] if word == "NAME" else word for word in words]
    extra = {"evolve": SHORT, "score": SMALL}.get(words[0], ())
    done = adrs(words if "--help" in words else [*words, *extra], folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_commands_in_the_text_have_settings_that_there_are():
    quoted = re.findall(r"`(adrs [a-z]+ [^`]*)`", README)
    assert quoted
    for command in quoted:
        _, verb, *rest = shlex.split(command)
        rest = [word for word in rest if word != "-m"]
        words = tuple(word for word in rest if "=" not in word)
        pairs = tuple(w for w in rest if "=" in w and "," not in w)
        settings(verb, Arguments(words, pairs))


def test_every_folder_it_names_says_what_lives_there():
    for name in re.findall(r"^\| `(\w+)/` \|", README, re.MULTILINE):
        assert (ROOT / name / "README.md").is_file()
