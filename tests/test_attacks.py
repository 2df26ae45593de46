"""Every attack fails as expected, succeeds without its guard, and harms nobody."""

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from adrs import sandbox
from adrs.pool import in_process
from evaluators.confine import LAYERS
from evaluators.evaluation import Failure
from evaluators.sim.laws import LawBrokenError
from tests.attacks import box, guards, sentinels
from tests.attacks import prey as laid_out
from tests.attacks.cross import CROSSES
from tests.attacks.exams import sat
from tests.attacks.forge import LIES
from tests.attacks.peek import PEEKS
from tests.attacks.resources import ENDS, FLOODS, GRABS, HANGS
from tests.attacks.semantics import ABUSES
from tests.attacks.table import LIMITS, Attack
from tests.attacks.tamper import TAMPERS
from tests.outer_box import ROOT
from tests.sandbox_problem import HONEST
from tests.test_sandbox import below

CLASSES = {
    "peek": PEEKS,
    "tamper": TAMPERS,
    "forge": LIES,
    "hang": HANGS,
    "end": ENDS,
    "flood": FLOODS,
    "grab": GRABS,
    "cross": CROSSES,
    "semantics": ABUSES,
}
GUARDED = {
    name: attack
    for attacks in CLASSES.values()
    for name, attack in attacks.items()
    if attack.guards
}
SAMPLE = {
    "opens a file",
    "looks for the trace on the heap",
    "kills a neighbour",
    "patches how outcomes are made",
    "answers what is no number",
    "answers with a nonce of its own",
    "answers once more at the end",
    "writes instructions into its exception",
    "hangs in a hook",
    "takes more CPU time than it may",
    "keeps the judge waiting",
    "exits without a word",
    "forks",
    "takes more memory than its limit",
    "leaves a file",
    "remembers another scenario",
    "starves whoever came first",
}
"""What every run of the tests tries; `-m slow` tries them all."""


def all_but_a_sample_slow():
    for name, attack in GUARDED.items():
        marks = [] if name in SAMPLE else [pytest.mark.slow]
        yield pytest.param(attack, marks=marks, id=name)


each_guarded = pytest.mark.parametrize("attack", list(all_but_a_sample_slow()))


@pytest.fixture(scope="module", autouse=True)
def zygote():
    yield
    sandbox.close_zygote()


@pytest.fixture(scope="module")
def calm():
    """The honest outcome, before any attack."""
    return judged(HONEST)


@pytest.fixture
def prey(tmp_path):
    with laid_out.prey(tmp_path) as found:
        yield found


def judged(source, without=(), limits=LIMITS, on="", times=1):
    """The outcome of the last time, with some layers left out, as no run can."""
    problem, one = sat(on)
    layers = [layer for layer in LAYERS if layer not in without]
    for _ in range(times):
        try:
            if "process" in without:
                outcome = in_process(problem, source, [one]).outcomes[0]
            else:
                outcome = sandbox.evaluate(problem, source, one, limits, layers)
        except (LawBrokenError, LookupError, ValueError) as error:
            # Our bug, if all guards are there.
            assert without
            outcome = sandbox.failed(one.scenario, Failure("broken", repr(error)))
    return outcome


def tried(attack, prey, without=()):
    """The outcome of an attack, and whether it has succeeded."""
    source = prey.armed(attack.source)
    with guards.without(without):
        outcome = judged(source, without, attack.limits, attack.on, attack.times)
    return outcome, getattr(sentinels, attack.sentinel)(prey, outcome)


def held():
    """How many processes are below this one, and its open descriptors."""
    return len(below(os.getpid())), len(os.listdir("/proc/self/fd"))


def succeeds(attack, prey, without):
    """Whether it does without some guards, in a box if the judge is to suffer it."""
    if attack.sentinel == "fell":
        without = (*without, "process")
    if "process" not in without:
        return tried(attack, prey, without)[1]
    sat(attack.on)
    cpu_s, wall_s = attack.limits.cpu_s, attack.limits.wall_s
    code = box.comes_to(lambda: tried(attack, prey, without)[1], cpu_s, wall_s)
    return code == box.HARMED or (attack.sentinel == "fell" and code != box.SURVIVED)


@each_guarded
def test_an_attack_fails_as_expected_and_the_next_policy_is_none_the_worse(
    attack, prey, calm
):
    before = held()
    outcome, has_harmed = tried(attack, prey)
    failure = outcome.failure
    assert (failure.kind if failure else "") == attack.kind, failure
    assert failure is None or (attack.says in failure.message and not outcome.score)
    assert not has_harmed
    assert judged(HONEST) == calm
    assert held() == before


@each_guarded
def test_an_attack_succeeds_once_its_guard_is_gone(attack, prey, calm):
    assert succeeds(attack, prey, attack.guards)
    if attack.sentinel == "fell" and "process" not in attack.guards:
        assert not succeeds(attack, prey, ())
    assert judged(HONEST) == calm


@pytest.mark.parametrize("sentinel", sorted({a.sentinel for a in GUARDED.values()}))
def test_what_is_honest_does_no_harm_even_without_any_guard(sentinel, prey):
    honest = Attack(HONEST, "", sentinel=sentinel)
    for guard in ("", "process"):
        assert succeeds(honest, prey, (guard,)) == (sentinel == "fooled")


@pytest.mark.slow
@pytest.mark.parametrize(
    "attack", [each for each in GUARDED.values() if len(each.guards) > 1]
)
def test_each_of_several_guards_holds_alone(attack, prey):
    for kept in attack.guards:
        without = [guard for guard in attack.guards if guard != kept]
        assert not succeeds(attack, prey, without), kept


WHO = ("nobody", "root in a container", "nobody in a container")
AS_ANOTHER = """
import sys, pytest
from tests.outer_box import DOCKER, become_nobody, fake
if "nobody" in sys.argv[1]:
    become_nobody()
if "container" in sys.argv[1]:
    fake(*DOCKER)
options = ["-p", "no:cacheprovider", "-m", "slow or not slow", "-k", "not another_user"]
sys.exit(pytest.main([*options, "--basetemp", sys.argv[2], "tests/test_attacks.py"]))
"""


@pytest.fixture(scope="module")
def others():
    """All of this file as somebody else, under way side by side."""
    with ExitStack() as stack:
        running = {}
        for who in WHO:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            Path(folder).chmod(0o777)
            running[who] = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", AS_ANOTHER, who, f"{folder}/at"],
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            stack.callback(running[who].kill)
        yield running


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("who", WHO)
def test_all_of_it_holds_for_another_user_and_in_a_container(who, others):
    said, _ = others[who].communicate()
    assert others[who].returncode == 0, said[-3000:]


def test_no_two_attacks_have_the_same_name():
    names = [name for attacks in CLASSES.values() for name in attacks]
    assert len(set(names)) == len(names)


def test_each_class_is_sampled_and_enough_attacks_have_a_guard():
    assert GUARDED.keys() >= SAMPLE
    assert all(SAMPLE & each.keys() for each in CLASSES.values() if each is not FLOODS)
    assert len(GUARDED) >= 100
