"""Removing a layer is found by trying, refused by name, and never passed over."""

import errno
import functools
import json
import os
import subprocess
import sys

import pytest

from adrs import isolation, sandbox
from adrs.isolation import BASE, IsolationError, in_force, probed
from adrs.pool import in_process
from adrs.sandbox import Limits
from evaluators.confine import LAYERS, ConfinementError
from evaluators.probes import PROBES
from tests.outer_box import DOCKER, ROOT, Fake, become_nobody, fake, in_fork
from tests.sandbox_problem import HONEST, PROBLEM, exam

LIMITS = Limits(cpu_s=5, wall_s=30, memory_bytes=1 << 26)
PDEATHSIG, NO_NEW_PRIVS = 1, 38
NO_LANDLOCK = Fake("landlock_create_ruleset", errno.ENOSYS)
NO_SECCOMP = Fake("seccomp", errno.EINVAL)
REMOVALS = [
    ("landlock", NO_LANDLOCK),
    ("seccomp", Fake("seccomp", 0)),
    ("session", Fake("setsid", errno.ENOSYS)),
    ("session", Fake("prctl", errno.EINVAL, first=PDEATHSIG)),
    ("limits", Fake("prlimit64", errno.ENOSYS, sets=True)),
    ("privileges", Fake("prctl", errno.EINVAL, first=NO_NEW_PRIVS)),
    ("privileges", Fake("capset", errno.ENOSYS)),
    ("landlock", Fake("landlock_restrict_self", errno.EOPNOTSUPP)),
    ("seccomp", NO_SECCOMP),
]
LIES = [
    ("landlock", Fake("landlock_restrict_self", 0)),
    ("session", Fake("setsid", 0)),
    ("descriptors", Fake("close_range", 0)),
    ("limits", Fake("prlimit64", 0, sets=True)),
]


def refusal(least="strict"):
    """What is said of a level that this machine does not reach, else its level."""
    try:
        return in_force(least).level
    except IsolationError as error:
        return str(error)


def removed(cases, quick):
    for number, (layer, faked) in enumerate(cases):
        marks = [] if number < quick else [pytest.mark.slow]
        yield pytest.param(layer, faked, marks=marks, id=f"{layer}-{faked.call}")


@pytest.mark.parametrize(("layer", "faked"), list(removed(REMOVALS, quick=2)))
def test_a_layer_that_the_kernel_denies_is_refused_by_name(layer, faked):
    said = in_fork(refusal, probed.cache_clear, lambda: fake(faked))
    assert layer in said
    assert said.startswith(("isolation strict lacks ", "a policy process does not"))
    others = {name for name in LAYERS if f"{name} (" in said} - {layer}
    assert not others


@pytest.mark.parametrize(("layer", "faked"), list(removed(LIES, quick=1)))
def test_a_layer_that_the_kernel_only_claims_to_have_is_found_by_trying(layer, faked):
    said = in_fork(refusal, probed.cache_clear, lambda: fake(faked))
    assert said.startswith(f"isolation strict lacks {layer} (a policy can ")


def levels():
    return [refusal(least) for least in isolation.LEVELS]


def test_a_weaker_level_has_to_be_named():
    found = in_fork(levels, probed.cache_clear, lambda: fake(NO_LANDLOCK))
    assert "landlock (Function not implemented): isolation=partial accepts" in found[0]
    assert found[1:] == ["partial", "partial"]


@pytest.mark.slow
def test_without_landlock_and_seccomp_only_the_weakest_level_runs():
    said, less, least = in_fork(
        levels, probed.cache_clear, lambda: fake(NO_LANDLOCK, NO_SECCOMP)
    )
    for text in (said, less):
        assert "landlock" in text
        assert "seccomp" in text
        assert "isolation=rlimits accepts" in text
    assert least == "rlimits"


def score(folder, *words, without):
    """Run ``adrs score`` where the kernel fakes a call."""
    command = [sys.executable, "-m", "adrs.main", "score", "least_slack", *words]
    return subprocess.run(
        [*command, "problem.n_requests=40"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=functools.partial(fake, without),
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "faked", [NO_LANDLOCK, pytest.param(NO_SECCOMP, marks=pytest.mark.slow)]
)
def test_a_run_without_a_layer_ends_with_one_clear_line(faked, tmp_path):
    done = score(tmp_path, without=faked)
    assert done.returncode == 1
    (line,) = (text for text in done.stderr.splitlines() if "isolation" in text)
    assert line.startswith("error: isolation strict lacks ")
    assert done.stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize("faked", [NO_LANDLOCK, NO_SECCOMP])
def test_results_of_a_weaker_level_are_stamped_with_it(faked, tmp_path):
    words = ("isolation=rlimits", "format=json", "trace=timeline.json")
    done = score(tmp_path, *words, without=faked)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["isolation"] == "partial"


def test_a_layer_lost_after_the_probes_stops_the_run_by_name():
    def judged():
        fake(NO_LANDLOCK)
        try:
            sandbox.evaluate(PROBLEM, HONEST, exam(), LIMITS)
        except ConfinementError as error:
            return str(error)

    said = in_fork(judged)
    assert said == "landlock cannot be put in force: Function not implemented"


def test_each_layer_is_tried_and_the_level_here_is_strict():
    assert {probe.layer for probe in PROBES} == set(LAYERS)
    assert set(BASE) < set(LAYERS)
    report = in_force("strict")
    assert (report.level, report.layers, report.missing) == ("strict", LAYERS, {})


def test_a_level_that_is_none_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="one of strict, partial, rlimits"):
        in_force("landlock")


def test_a_platform_without_the_means_is_refused(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(IsolationError, match="this is darwin"):
        probed.__wrapped__()


def everything_here():
    """The level, and whether scores are those without isolation."""
    probed.cache_clear()
    exams = [exam(), exam(30)]
    alone = in_process(PROBLEM, HONEST, exams).outcomes
    got = [sandbox.evaluate(PROBLEM, HONEST, one, LIMITS) for one in exams]
    return refusal(), [one.score for one in got] == [one.score for one in alone]


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_is_isolated_as_strictly():
    assert in_fork(everything_here, become_nobody) == ["strict", True]


@pytest.mark.parametrize(
    "who", ["nobody", pytest.param("root", marks=pytest.mark.slow)]
)
def test_a_container_without_namespaces_is_isolated_as_strictly(who):
    steps = [become_nobody] * (who == "nobody" and os.getuid() == 0)
    found = in_fork(everything_here, *steps, lambda: fake(*DOCKER))
    assert found == ["strict", True]


@pytest.mark.slow
def test_the_doctor_shows_each_layer_and_fails_without_one(tmp_path, monkeypatch):
    from adrs.commands import doctor

    assert [finding.works for finding in doctor.isolation()[:7]] == [True] * 7

    def without_landlock():
        probed.cache_clear()
        return [tuple(finding) for finding in doctor.isolation()]

    findings = in_fork(without_landlock, lambda: fake(NO_LANDLOCK))
    failed = [(name, detail) for name, works, detail in findings if works is False]
    assert failed == [
        ("isolation: landlock", "Function not implemented"),
        ("isolation level", "partial"),
    ]
    assert json.dumps(findings)
