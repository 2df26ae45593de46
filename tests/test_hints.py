"""What is printed to be typed next does what it is printed for."""

import shlex
from pathlib import Path

from adrs.hints import after, again
from adrs.settings import Arguments, settings


def composed(command):
    program, verb, *words = shlex.split(command)
    assert program == "adrs"
    bare = tuple(word for word in words if "=" not in word)
    return settings(verb, Arguments(bare, tuple(w for w in words if "=" in w)))


def test_the_printed_score_sits_what_the_run_sat():
    typed = (
        "experiment=tight_memory",
        "problem.n_requests=30",
        "data=/a b",
        "companions.eviction=lru",
    )
    ours = settings("evolve", Arguments((), (*typed, "seed=3", "run=x")))
    said = after(ours, Path("runs/my run"), None, won=True)
    line = next(each for each in said.splitlines() if " score " in each)
    theirs = composed(line)
    for section in ("problem", "workload", "deployment", "limits", "companions"):
        assert theirs[section].plain() == ours[section].plain()
    assert theirs.workload.arrivals == "bursts"
    assert (theirs.data, theirs.split) == ("/a b", "held_out")
    assert theirs.file == "runs/my run/winner.py"


def test_the_printed_evolve_goes_on_with_the_same_settings():
    ours = settings("evolve", Arguments((), ("run=my run", "workload=bursty")))
    assert composed(again(ours)).plain() == ours.plain()


def test_the_printed_leaderboard_is_of_the_problem_that_was_run():
    ours = settings("evolve", Arguments((), ("problem=eviction", "seed=1")))
    said = after(ours, Path("runs/a"), None, won=False)
    line = next(each for each in said.splitlines() if " leaderboard" in each)
    assert composed(line).problem == "eviction"
