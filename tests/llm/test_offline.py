"""Claims about the model that varies policies by itself."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from adrs.candidate import candidate
from adrs.llm import offline
from adrs.llm.model import Key, Message, ModelError
from adrs.variation.draft import number, take_apart
from adrs.variation.vary import MAX_LINES, OPERATORS, Operator, vary
from adrs.variation.vocabulary import Vocabulary
from evaluators import rng
from evaluators.problems import load
from tests.llm.policies import AGED, CHUNKED, FCFS, LEVEL_1, PLANNED, STATEFUL
from tests.llm.views import ask_everything

ROOT = Path(__file__).parents[2]
PROBLEM = load("scheduling")
VOCABULARY = Vocabulary(PROBLEM)
SEEDS = [
    path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "seeds/scheduling").glob("*.py"))
]


def question(*sources: str) -> tuple[Message, ...]:
    blocks = "\n".join(f"A policy:\n```python\n{source}```\n" for source in sources)
    system = Message("system", "Example:\n```python\nclass Ignored: pass\n```\n")
    return system, Message("user", f"Improve the first.\n{blocks}Answer.")


def code_of(reply: str) -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```$", reply, re.DOTALL | re.MULTILINE)
    return code


def ask(*sources: str, seed: int = 0, slot: int = 0, operators: str = "all") -> str:
    model = offline.build(PROBLEM, seed, operators=operators)
    return code_of(model.complete(question(*sources), Key(1, slot, 0)).text)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_each_operator_makes_policies_that_answer_as_the_engine_expects(
    operator: Operator,
) -> None:
    assert operator.odds > 0
    made_any = 0
    for i in range(12):
        draws = rng.stream(3, operator.name, i)
        pool = [*LEVEL_1, *SEEDS]
        sources = [pool[j] for j in draws.permutation(len(pool))[:4]]
        try:
            made = vary([AGED, *sources], [operator], VOCABULARY, draws)
        except ValueError:
            continue
        made_any += 1
        ask_everything(made.source, PROBLEM)
    assert made_any > 3, f"{operator.name} rarely changes the aged policy"


@pytest.mark.parametrize("source", [*LEVEL_1, PLANNED, *SEEDS], ids=lambda s: s[3:30])
def test_any_policy_is_varied_into_another_that_works(source: str) -> None:
    is_fixed = (
        "schedule" in source and not take_apart(source, VOCABULARY.hooks).attributes
    )
    if is_fixed:
        pytest.skip("plans whole steps and has nothing to tune")
    for slot in range(8):
        made = ask(source, AGED, STATEFUL, CHUNKED, slot=slot)
        assert candidate(made, origin="").id != candidate(source, origin="").id
        assert len(made.splitlines()) <= MAX_LINES
        assert ast.get_docstring(ast.parse(made)).splitlines()[0].strip()
        ask_everything(made, PROBLEM)


def test_lines_of_descent_stay_short_and_keep_working() -> None:
    pool = [*LEVEL_1, *SEEDS]
    for i in range(80):
        draws = rng.stream(5, "descent", i)
        sources = [pool[j] for j in draws.permutation(len(pool))[:3]]
        made = vary(sources, OPERATORS, VOCABULARY, draws)
        ask_everything(made.source, PROBLEM)
        pool = [*pool, made.source][-40:]
    assert max(len(source.splitlines()) for source in pool) <= MAX_LINES


def test_the_same_question_gets_the_same_answer_and_another_key_another() -> None:
    assert ask(AGED, CHUNKED, slot=4) == ask(AGED, CHUNKED, slot=4)
    answers = {ask(AGED, CHUNKED, FCFS, slot=slot) for slot in range(20)}
    assert len(answers) > 15
    assert ask(AGED, CHUNKED, slot=4, seed=1) != ask(AGED, CHUNKED, slot=4, seed=2)


def test_hooks_of_other_policies_are_taken_with_all_that_they_use() -> None:
    take = next(operator for operator in OPERATORS if operator.name == "take")
    made = [
        vary([CHUNKED, STATEFUL], [take], VOCABULARY, rng.stream(0, i)).source
        for i in range(12)
    ]
    whole = next(source for source in made if "admit_key" in source)
    for part in ("def scaled", "BIAS", "def __init__", "def helped", "chunk = 512"):
        assert part in whole
    assert "victim_key" not in whole
    ask_everything(whole, PROBLEM)


def test_an_attribute_of_the_same_name_is_renamed_on_the_way() -> None:
    take = next(operator for operator in OPERATORS if operator.name == "take")
    chunked = CHUNKED.replace("chunk", "forgiveness")
    made = vary([chunked, AGED], [take], VOCABULARY, rng.stream(0, "clash")).source
    assert "forgiveness = 512" in made
    assert "admit_forgiveness = 400.0" in made


def test_comments_with_units_survive() -> None:
    assert "# prompt tokens forgiven per second" in ask(AGED, operators="tune")


def test_tuning_alone_changes_nothing_but_numbers() -> None:
    before = take_apart(AGED, VOCABULARY.hooks)
    for slot in range(20):
        after = take_apart(
            ask(AGED, CHUNKED, slot=slot, operators="tune"), {"admit_key"}
        )
        values = [number(value) for value in after.attributes.values()]
        assert values[0] > 0
        assert isinstance(values[1], int)
        shapes = [
            re.sub(r"self\.\w+|[\d.]+", "", ast.unparse(d.methods["admit_key"]))
            for d in (before, after)
        ]
        assert shapes[0] == shapes[1]


def test_tuning_alone_explores_finely_and_far() -> None:
    values = set()
    for slot in range(120):
        draft = take_apart(ask(AGED, slot=slot, operators="tune"), {"admit_key"})
        values.add(number(draft.attributes["forgiveness"]))
    ratios = [value / 400.0 for value in values]
    assert min(ratios) < 0.4
    assert max(ratios) > 2.5
    assert sum(0.9 < ratio < 1.1 and ratio != 1 for ratio in ratios) > 5


def test_a_policy_that_plans_whole_steps_is_only_tuned() -> None:
    for slot in range(10):
        made = ask(PLANNED, AGED, CHUNKED, slot=slot)
        assert "token_budget" not in made
        assert "tokens = 64\n" not in made


def test_a_policy_without_a_number_cannot_be_tuned() -> None:
    with pytest.raises(ModelError, match="nothing to change in FirstCome"):
        ask(FCFS, operators="tune")


def test_a_question_without_a_policy_is_an_error_of_that_question() -> None:
    model = offline.build(PROBLEM, 0)
    with pytest.raises(ModelError, match="python block"):
        model.complete((Message("user", "hello"),), Key(1, 0, 0))
    with pytest.raises(ModelError, match="line 1"):
        model.complete(question("class (:\n"), Key(1, 0, 0))


def test_a_policy_that_holds_a_fence_is_read_and_answered_whole() -> None:
    quoted = AGED.replace('"""Rank by length less age."""', '"""```python\n```"""')
    block = f"````python\n{quoted}````\n"
    model = offline.build(PROBLEM, 0, operators="tune")
    reply = model.complete((Message("user", block),), Key(1, 0, 0)).text
    made = reply.split("````python\n")[1].removesuffix("````\n")
    assert "```python\n" in made
    ask_everything(made, PROBLEM)


def test_an_unknown_set_of_operators_is_refused() -> None:
    with pytest.raises(ValueError, match="expected all or tune"):
        offline.build(PROBLEM, 0, operators="most")


def test_features_use_only_columns_that_the_problem_shows() -> None:
    names = {feature.name for feature in VOCABULARY.features("admit_key")}
    assert {"prompt", "slack", "age", "share"} <= names
    assert "held" not in names
    assert "held" in {feature.name for feature in VOCABULARY.features("victim_key")}


def test_the_story_of_a_policy_is_told_and_forgotten_in_its_docstring() -> None:
    sources = [AGED]
    for i in range(10):
        made = vary([sources[-1], CHUNKED], OPERATORS, VOCABULARY, rng.stream(1, i))
        sources.append(made.source)
    roots = [take_apart(source, VOCABULARY.hooks).root for source in sources]
    assert all(before == after for before, after in pairwise(roots))
    assert len(ast.get_docstring(ast.parse(sources[-1])).splitlines()) <= 7
