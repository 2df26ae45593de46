"""Every seed of every problem, found by its file's name, keeps the policy contract."""

import ast
import re
from pathlib import Path

import pytest

from evaluators.load import hooks_of, load_policy
from evaluators.problems import load as problem_of
from evaluators.problems import names as problems
from tests.problems.builders import SEEDS
from tests.problems.small import small

FILES = sorted(SEEDS.glob("*/*.py"))
ALLOWED_IMPORTS = {"numpy", "math"}


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


every_problem = pytest.mark.parametrize("name", problems())
every_seed = pytest.mark.parametrize("path", FILES, ids=name_of)


def policy_class(path):
    tree = ast.parse(path.read_text())
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return found


def test_every_problem_has_seeds_and_every_seed_a_problem():
    assert {path.parent.name for path in FILES} == set(problems())


@every_seed
def test_a_seed_serves_a_scenario_and_obeys_its_laws(path):
    problem = problem_of(path.parent.name)
    exam = small(problem.name)
    outcomes = [
        problem.evaluate(load_policy(path.read_text(), problem.hooks), *exam)
        for _ in range(2)
    ]
    assert outcomes[0].failure is None
    assert 0 < outcomes[0].score <= 1
    assert outcomes[0] == outcomes[1]


@every_problem
def test_an_outcome_has_the_metrics_that_the_headline_names(name):
    problem = problem_of(name)
    outcome = problem.evaluate(None, *small(name))
    assert outcome.failure is None
    assert {*problem.headline, "bound_ratio"} <= outcome.metrics.keys()
    assert 2 <= len(problem.headline) <= 8


@every_problem
def test_the_built_in_rule_is_never_gated_and_never_above_the_bound(name):
    outcome = problem_of(name).evaluate(None, *small(name))
    assert outcome.metrics["starvation_factor"] == 1.0
    assert 0 < outcome.score <= 1
    assert outcome.score == pytest.approx(outcome.metrics["bound_ratio"])


@every_seed
def test_a_seed_has_hooks_with_the_arguments_of_its_problem(path):
    problem = problem_of(path.parent.name)
    policy = load_policy(path.read_text(), problem.hooks)
    answered = hooks_of(policy, problem.hooks)
    arguments = {hook.name: ("self", *hook.arguments) for hook in problem.hooks}
    assert answered
    for method in policy_class(path).body:
        if isinstance(method, ast.FunctionDef) and method.name in arguments:
            given = tuple(argument.arg for argument in method.args.args)
            assert given == arguments[method.name]
            assert ast.get_docstring(method)


@every_seed
def test_a_seed_imports_only_numpy_and_math(path):
    imported = {
        name.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert imported <= ALLOWED_IMPORTS


@every_seed
def test_a_seed_is_short_and_its_title_names_a_published_work(path):
    text = path.read_text()
    title = ast.get_docstring(ast.parse(text)).splitlines()[0]
    assert len(text.splitlines()) <= 50
    assert len(title) <= 100
    assert re.search(r"\(.*(19|20)\d\d.*\)\.$", title), title


@every_seed
def test_a_seeds_class_has_no_base_and_its_tunables_have_units(path):
    lines, found = path.read_text().splitlines(), policy_class(path)
    assert not found.bases
    for node in found.body:
        if isinstance(node, ast.Assign):
            assert re.search(r"#\s+\w+", lines[node.lineno - 1]), lines[node.lineno - 1]
