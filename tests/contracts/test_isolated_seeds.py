"""Isolation changes no score: every seed's outcome is what it is in process."""

import os
from dataclasses import replace

import pytest

from adrs import sandbox
from adrs.pool import in_process
from adrs.sandbox import Limits
from evaluators.problems import load
from tests.contracts.test_policies import FILES, name_of
from tests.outer_box import become_nobody, in_fork
from tests.problems.small import small

LIMITS = Limits(cpu_s=30, wall_s=120, memory_bytes=1 << 28)
QUICK = ("eviction/gdsf", "load_balancing/cache_aware", "scheduling/head_room")


@pytest.fixture(scope="module", autouse=True)
def zygote():
    yield
    sandbox.close_zygote()


def difference(path):
    """Both outcomes of a seed, without and with isolation, if they differ."""
    problem, exam = load(path.parent.name), small(path.parent.name)
    source = path.read_text()
    (alone,) = in_process(problem, source, [exam]).outcomes
    # A log is kept only of what crosses to a process.
    isolated = sandbox.evaluate(problem, source, exam, LIMITS)
    is_same = replace(isolated, decisions=alone.decisions) == alone
    is_scored = alone.failure is None and alone.score > 0
    return None if is_same and is_scored else f"{name_of(path)}: {alone} {isolated}"


def test_a_seed_scores_the_same_in_a_process_of_its_own():
    few = [path for path in FILES if name_of(path) in QUICK]
    assert len(few) == len(QUICK)
    assert [found for path in few if (found := difference(path))] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_seed_scores_the_same_in_a_process_of_its_own(path):
    assert difference(path) is None


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_every_seed_scores_the_same_for_an_ordinary_user():
    def differences():
        return [found for path in FILES if (found := difference(path))]

    assert in_fork(differences, become_nobody) == []
