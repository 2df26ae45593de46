"""Every configuration composes, and only keys that something reads are accepted."""

import re
from inspect import signature
from pathlib import Path

import pytest

from adrs.commands import verbs
from adrs.nulls import kind_of_null
from adrs.resources import folder
from adrs.settings import (
    Arguments,
    SettingsError,
    defaults,
    groups,
    jobs,
    settings,
)
from evaluators.problems import load, names
from evaluators.scenario import Deployment
from evaluators.workloads.workload import build_workload, kinds

ROOT = Path(__file__).parents[1]
OURS = [p for name in ("adrs", "evaluators") for p in (ROOT / name).rglob("*.py")]
NEEDED = {"openai": ["llm.model=any"], "recorded": ["llm.path=any"]}
WORDS = {"score": ("fcfs",), "fetch": ("azure_llm_2023_conv",)}


def composed(verb, *overrides):
    return settings(verb, Arguments(WORDS.get(verb, ()), overrides))


def members():
    """Verb, group and member; what an earlier verb has as well is left to slow runs."""
    found = [
        (verb, group, member)
        for verb in verbs()
        for group, listed in groups(verb).items()
        for member in listed
    ]
    first = {(group, member): verb for verb, group, member in reversed(found)}
    return [
        each
        if first[each[1:]] == each[0]
        else pytest.param(*each, marks=pytest.mark.slow)
        for each in found
    ]


def test_every_verb_has_a_configuration_and_every_configuration_a_verb():
    assert {file.stem for file in folder("conf").glob("*.yaml")} == set(verbs())


@pytest.mark.parametrize(("verb", "group", "member"), members())
def test_every_member_of_every_group_composes_of_keys_of_a_known_kind(
    verb, group, member
):
    found = composed(verb, f"{group}={member}", *NEEDED.get(member, ()))
    assert len(found)
    for key, value in found.leaves():
        assert value is not None or kind_of_null(key)


@pytest.mark.parametrize("member", groups("workload")["workload"])
def test_a_workload_has_the_options_of_its_kind(member):
    section = composed("workload", f"workload={member}").workload
    assert section.kind in kinds()
    module = __import__(f"evaluators.workloads.{section.kind}", fromlist=["build"])
    assert set(section) - {"kind"} <= set(signature(module.build).parameters)


def test_a_workload_that_needs_no_file_can_be_built():
    section = composed("workload").workload
    build_workload(section.kind, {k: v for k, v in section.items() if k != "kind"})


@pytest.mark.parametrize("member", groups("score")["deployment"])
def test_a_deployment_can_be_made(member):
    section = composed("score", f"deployment={member}").deployment
    Deployment(**{k: v for k, v in section.items() if k != "calibration"})


@pytest.mark.parametrize("member", groups("evolve")["problem"])
def test_a_problem_is_one_that_there_is(member):
    name = composed("evolve", f"problem={member}").problem.name
    assert name in names()
    assert load(name).name == name


def test_every_problem_can_be_chosen():
    assert set(groups("evolve")["problem"]) == set(names())


@pytest.mark.parametrize("member", groups("evolve")["llm"])
def test_a_model_has_the_options_of_its_provider(member):
    section = composed("evolve", f"llm={member}", *NEEDED.get(member, ())).llm
    module = __import__(f"adrs.llm.{section.provider}", fromlist=["build"])
    options = set(signature(module.build).parameters) - {"problem", "seed"}
    assert set(section) - {"provider"} == options


def read_by(verb):
    """Text of our files that a verb's command imports, directly or through others."""
    files = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in OURS}
    found, new = {}, {f"adrs.commands.{verb}"}
    if "llm" in groups(verb):
        new |= {name for name in files if name.startswith("adrs.llm.")}
    while new:
        found |= {name: files[name].read_text() for name in new}
        lines = "\n".join(found[name] for name in new)
        named = re.findall(r"^from (adrs\S*) import (.+)$", lines, re.MULTILINE)
        named += re.findall(r"^from (adrs\S*) import \(([^)]+)\)", lines, re.MULTILINE)
        modules = {module for module, _ in named}
        modules |= {
            f"{m}.{part}" for m, parts in named for part in re.split(r"\W+", parts)
        }
        new = (modules & files.keys()) - found.keys()
    return "\n".join(found.values())


@pytest.mark.parametrize("verb", verbs())
def test_every_key_of_a_verb_is_read_by_what_it_runs(verb):
    text = read_by(verb)
    judge = "".join(p.read_text() for p in OURS if "evaluators" in p.parts)
    everything = "".join(p.read_text() for p in OURS)
    for key, _ in defaults(verb).leaves():
        top, *inner = key.split(".")
        assert re.search(rf'settings(\.{top}\b|\["{top}["\.])', text), f"no {top}"
        of_group = everything if top in groups(verb) else text + judge
        for part in inner:
            assert re.search(rf"\b{part}\b", of_group), f"nothing reads {key}"


@pytest.mark.parametrize(
    ("chosen", "lacks"),
    [
        ("problem=scheduling", "problem.prefix_caching"),
        ("problem=eviction", "problem.fleet.wire"),
        ("workload=synthetic", "workload.exponent"),
    ],
)
def test_a_recipe_for_another_member_is_refused_with_the_way_out(chosen, lacks):
    with pytest.raises(SettingsError) as refused:
        composed("evolve", "experiment=migration", chosen)
    said = f"sets {lacks}, which {chosen} does not have; leave out {chosen} or"
    assert said in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", groups("evolve")["experiment"])
def test_a_recipe_may_be_given_the_members_that_it_takes_itself(recipe):
    found = composed("evolve", f"experiment={recipe}")
    named = (f"problem={found.problem.name}", f"deployment={found.deployment.name}")
    assert composed("evolve", f"experiment={recipe}", *named).plain() == found.plain()


def test_there_are_at_most_sixty_keys_to_know():
    assert len(list(defaults("evolve").leaves())) <= 60


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("problm=scheduling", "unknown key problm; did you mean problem?"),
        ("problem=schedulng", "unknown problem 'schedulng'; did you mean scheduling?"),
        ("workload.tenant=3", "did you mean workload.tenants?"),
        ("tenants=3", "did you mean workload.tenants?"),
        ("+seed=1", "cannot be added"),
        ("~seed", "cannot be added, removed"),
        ("seed=1,2", "add -m"),
        ("seed=one", "expected a whole number"),
        ("seed=null", "seed is null; expected a whole number, such as 0"),
        ("problem.n_requests=null", "problem.n_requests is null; expected a whole n"),
        ("problem.regimes=[a]", "problem.regimes is ['a']; expected finite numbers"),
        ("problem.regimes=[]", "problem.regimes is []; expected finite numbers above"),
        ("problem.regimes=[nan]", "expected finite numbers above 0"),
        ("budget.seconds=nan", "budget.seconds is nan; expected a number"),
        ("budget.evaluations=-1", "budget.evaluations is -1; expected at least 0"),
        ("search.slots=0", "search.slots is 0; expected at least 1"),
        ("problem.n_requests=2.5", "expected a whole number"),
        ("workload=[a,b]", "there are"),
        ("limits=3", "set them one by one"),
        ("llm=openai", "needs llm.model"),
        ("seed=[", "cannot read"),
        ("workers=two", "workers is 'two'; expected a whole number, such as null"),
        ("workers=0", "workers is 0; expected at least 1"),
        ("workers=1.5", "expected a whole number"),
        ("contenders=0", "contenders is 0; expected at least 1"),
        ("budget.seconds=abc", "budget.seconds is 'abc'; expected a number"),
        ("budget.tokens=true", "expected a whole number"),
        ("run=[a]", "run is ['a']; expected text"),
        ("run='${foo}'", "expected a value, no reference"),
        ("workers=${problem.name}", "expected a value, no reference"),
        ("experiment=tight_memry", "did you mean tight_memory?"),
        ("llm=null", "unknown llm None"),
        ("llm.model=x", "unknown key llm.model here; llm=openai has it"),
        ("problem.fleet.replicas=2", "here; problem=load_balancing has it"),
        ("budget.something=1", "there are budget.evaluations, budget.tokens, "),
        ("companions.foo=x", "did you mean companions.e"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(override, said):
    with pytest.raises(SettingsError) as caught:
        composed("evolve", override)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_comes_from_the_environment_unless_it_is_typed(monkeypatch):
    monkeypatch.setenv("ADRS_DATA", "/from/the/environment")
    defaults.cache_clear()
    assert composed("evolve").data == "/from/the/environment"
    assert composed("evolve", "data=/typed").data == "/typed"
    defaults.cache_clear()


def test_a_whole_number_is_a_number_and_a_number_is_the_text_that_was_typed():
    found = composed("evolve", "limits.cpu_s=3", "run=07", "budget.seconds=2")
    assert isinstance(found.limits.cpu_s, float)
    assert (found.limits.cpu_s, found.run, found.budget.seconds) == (3.0, "07", 2.0)
    assert composed("evolve", "run=1.10").run == "1.10"


def test_what_may_be_left_out_may_be_null():
    found = composed("evolve", "experiment=null", "workers=null", "budget.seconds=null")
    assert found.plain() == defaults("evolve").plain()


def test_a_bare_word_fills_what_is_missing_whatever_it_is():
    word = "a folder/with = and, 'quotes'.py"
    assert settings("score", Arguments((word,), ())).file == word


def test_a_bare_word_that_has_no_place_is_refused():
    with pytest.raises(SettingsError, match="does not know what 'srpt' is"):
        settings("evolve", Arguments(("srpt",), ()))


def test_a_sweep_is_every_combination_the_last_varying_first():
    assert jobs(["seed=1,2", "problem.n_requests=range(3,5)"]) == [
        ("seed=1", "problem.n_requests=3"),
        ("seed=1", "problem.n_requests=4"),
        ("seed=2", "problem.n_requests=3"),
        ("seed=2", "problem.n_requests=4"),
    ]


def test_an_endless_sweep_is_refused():
    with pytest.raises(SettingsError, match="not a list"):
        jobs(["seed=interval(0,1)"])
