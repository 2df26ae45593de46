"""Every attack fails as expected, succeeds without its guard, and harms nobody."""

import os
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path

import pytest

from adrs import sandbox
from adrs.pool import in_process
from adrs.sandbox import Limits
from evaluators.confine import LAYERS
from tests.attacks import prey as laid_out
from tests.attacks.cross import CROSSES
from tests.attacks.forge import LIES
from tests.attacks.peek import PEEKS
from tests.attacks.resources import ENDS, FLOODS, GRABS, HANGS
from tests.attacks.tamper import TAMPERS
from tests.outer_box import ROOT
from tests.sandbox_problem import HONEST, PROBLEM, exam

LIMITS = Limits(cpu_s=2, wall_s=10, memory_bytes=1 << 26)
EXAM = exam()
CLASSES = (PEEKS, TAMPERS, LIES, HANGS, ENDS, FLOODS, GRABS, CROSSES)
ATTACKS = dict(chain.from_iterable(attacks.items() for attacks in CLASSES))
GUARDED = {name: one for name, one in ATTACKS.items() if one.guards}
each_guarded = pytest.mark.parametrize("attack", GUARDED.values(), ids=GUARDED)


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


def judged(source, without=()):
    """The outcome with some layers left out, as no run can."""
    if "process" in without:
        return in_process(PROBLEM, source, [EXAM]).outcomes[0]
    layers = [layer for layer in LAYERS if layer not in without]
    return sandbox.evaluate(PROBLEM, source, EXAM, LIMITS, layers)


def has_succeeded(attack, prey, outcome):
    return getattr(laid_out, attack.sentinel)(prey, outcome)


@each_guarded
def test_an_attack_fails_as_expected_and_the_next_policy_is_none_the_worse(
    attack, prey, calm
):
    outcome = judged(prey.armed(attack.source))
    failure = outcome.failure
    assert (failure.kind if failure else "") == attack.kind, failure
    assert failure is None or attack.says in failure.message
    assert not has_succeeded(attack, prey, outcome)
    assert judged(HONEST) == calm


@each_guarded
def test_an_attack_succeeds_once_its_guard_is_gone(attack, prey, calm):
    outcome = judged(prey.armed(attack.source), without=attack.guards)
    assert has_succeeded(attack, prey, outcome), outcome
    assert judged(HONEST) == calm


@pytest.mark.slow
@each_guarded
def test_each_of_several_guards_holds_alone(attack, prey):
    for kept in attack.guards:
        without = [guard for guard in attack.guards if guard != kept]
        outcome = judged(prey.armed(attack.source), without=without)
        assert not has_succeeded(attack, prey, outcome), kept


WHO = ("nobody", "root in a container", "nobody in a container")
AS_ANOTHER = """
import sys, pytest
from tests.outer_box import DOCKER, become_nobody, fake
if "nobody" in sys.argv[1]:
    become_nobody()
if "container" in sys.argv[1]:
    fake(*DOCKER)
options = ["-p", "no:cacheprovider", "-m", "not slow", "--basetemp", sys.argv[2]]
sys.exit(pytest.main([*options, "tests/test_attacks.py"]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("who", WHO)
def test_all_of_it_holds_for_another_user_and_in_a_container(who):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER, who, f"{folder}/at"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_no_two_attacks_have_the_same_name():
    assert len(ATTACKS) == sum(map(len, CLASSES))
