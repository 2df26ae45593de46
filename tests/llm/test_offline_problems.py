"""The model without a key varies the policies of any problem by what that shows."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from adrs.variation.draft import take_apart
from adrs.variation.ranking import ranking
from adrs.variation.vary import OPERATORS, SWITCH, vary
from adrs.variation.vocabulary import Vocabulary
from evaluators import rng
from evaluators.load import load_policy
from evaluators.problem import Hook
from evaluators.problems import load, names
from evaluators.views import Column
from tests.problems.builders import SEEDS
from tests.problems.small import small

every_problem = pytest.mark.parametrize("name", names())


def seeds(name):
    return [path.read_text() for path in sorted((SEEDS / name).glob("*.py"))]


def varied(name, times, operators=OPERATORS):
    """Variations of the seeds, some of them of variations."""
    vocabulary, pool = Vocabulary(load(name)), seeds(name)
    for i in range(times):
        draws = rng.stream(7, name, i)
        sources = [pool[j] for j in draws.permutation(len(pool))[:3]]
        try:
            made = vary(sources, operators, vocabulary, draws)
        except ValueError:
            continue
        pool = [*pool, made.source][-60:]
        yield made


@every_problem
def test_most_variations_serve_a_scenario_of_their_problem(name):
    problem, exam = load(name), small(name, 40)
    outcomes = [
        problem.evaluate(load_policy(made.source, problem.hooks), *exam)
        for made in varied(name, 16)
    ]
    assert len(outcomes) >= 13
    assert sum(outcome.failure is None for outcome in outcomes) >= len(outcomes) - 2


@pytest.mark.slow
@every_problem
def test_every_kind_of_change_is_made_where_it_can_be(name):
    made = Counter(each.operator for each in varied(name, 130))
    wanted = {"tune", "blend", "add_term", "add_condition", "invent_key", "simplify"}
    assert wanted <= made.keys()
    assert ("switch" in made) == (name == "eviction")
    assert ("invent_count" in made) == (name == "scheduling")


@every_problem
def test_features_read_only_what_the_problem_shows(name):
    vocabulary = Vocabulary(load(name))
    for hook in vocabulary.rankable():
        found = vocabulary.features(hook)
        assert len(found) >= 6
        assert all(vocabulary.allows(hook, feature.text) for feature in found)
        assert len({feature.name for feature in found}) == len(found)


def test_a_problem_that_nobody_has_written_anything_for_is_read_by_its_columns():
    class Unheard:
        hooks = (Hook("drop", ("tables", "now_s"), "keys", "Lowest goes.", "always"),)
        manners = ()
        views = {  # noqa: RUF012
            "tables": (
                Column("id", "opaque identity"),
                Column("kind", "0 small, 1 large"),
                Column("read_tokens", "tokens read so far"),
                Column("opened_s", "when it was opened"),
                Column("seats", "requests that it can take"),
            ),
            "now_s": (Column("now_s", "time now"),),
        }

    vocabulary = Vocabulary(Unheard())
    texts = {feature.name: feature.text for feature in vocabulary.features("drop")}
    assert texts == {
        "read_tokens": "view.read_tokens",
        "opened": "(now_s - view.opened_s)",
        "seats": "view.seats",
    }
    assert vocabulary.codes("drop") == ["kind"]
    source = (
        "class P:\n    def drop(self, tables, now_s):\n        return tables.seats\n"
    )
    made = {
        vary([source], OPERATORS, vocabulary, rng.stream(i)).source for i in range(9)
    }
    assert len(made) > 4
    assert all("tables." in text for text in made)


@pytest.mark.parametrize(
    ("text", "key", "rises"),
    [
        ("return np.argmin(replicas.waiting)", "key", True),
        ("return np.argmax(np.where(replicas.healthy, 2.0, -np.inf))", "key", False),
        ("load = replicas.sent\n        return np.argmin(load)", "load", True),
        ("return np.lexsort((replicas.sent, replicas.running))[0]", "key", True),
    ],
)
def test_a_choice_is_laid_out_by_the_key_it_is_made_by(text, key, rises):
    source = f"class P:\n    def route(self, request, replicas):\n        {text}\n"
    vocabulary = Vocabulary(load("load_balancing"))
    draft = take_apart(source, vocabulary.hooks)
    laid_out = ranking(draft, "route", vocabulary)
    assert (laid_out.key, laid_out.rises) == (key, rises)
    laid_out.append("key = key + 3 * view.decoding")
    assert f"{key} = {key} + 3 * replicas.decoding" in draft.render()


def test_state_comes_with_the_listeners_that_keep_it():
    vocabulary = Vocabulary(load("eviction"))
    blend = [operator for operator in OPERATORS if operator.name == "blend"]
    parent, other = ((SEEDS / f"eviction/{n}.py").read_text() for n in ("lru", "lru_k"))
    made = vary([parent, other], blend, vocabulary, rng.stream(1)).source
    methods = take_apart(made, vocabulary.hooks).methods
    assert {"__init__", "on_access", "keep_value"} == methods.keys()
    assert "uses_s" in ast.unparse(methods["on_access"])


def test_a_policy_can_be_asked_in_another_way():
    vocabulary = Vocabulary(load("eviction"))
    parent = (SEEDS / "eviction/lru.py").read_text()
    made = vary([parent], [SWITCH], vocabulary, rng.stream(1)).source
    assert "rescore = 'always'" in made
    assert Path(SEEDS / "eviction/lru.py").read_text() == parent
