"""What every provider owes, whichever file of adrs/llm it lies in."""

import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from adrs import llm
from adrs.llm import recorded
from adrs.llm.model import Key, Model, Reply
from adrs.llm.scripted import Scripted
from evaluators.problems import load
from tests.llm.policies import AGED, CHUNKED
from tests.llm.server import Server, answer
from tests.llm.test_offline import question

ROOT = Path(__file__).parents[2]
PROBLEM = load("scheduling")
ASKED = question(AGED, CHUNKED)
KEYS = [Key(1, slot, attempt) for slot in range(4) for attempt in range(2)]


@contextmanager
def built(name: str, folder: Path) -> Iterator[Model]:
    """The provider with the least that its configuration makes a user give."""
    path = folder / "replies.jsonl"
    kept = recorded.record(Scripted(["a reply"]), path)
    for key in KEYS:
        kept.complete(ASKED, key)
    with Server(answer("a reply")) as server:
        given = {
            "openai": {"model": "m", "base_url": server.url, "timeout_s": 5.0},
            "scripted": {"replies": ["a reply"]},
            "recorded": {"path": str(path)},
        }
        options = configuration(name) | given.get(name, {})
        yield llm.load(name).build(PROBLEM, 7, **options)


def configuration(name: str) -> dict[str, object]:
    options = yaml.safe_load(
        (ROOT / f"conf/llm/{name}.yaml").read_text(encoding="utf-8")
    )
    assert options.pop("provider") == name
    return options


def test_the_providers_are_the_files_of_the_folder() -> None:
    files = {path.stem for path in (ROOT / "adrs/llm").glob("*.py")}
    assert set(llm.names()) == files - {"__init__", "model"}
    assert {path.stem for path in (ROOT / "conf/llm").glob("*.yaml")} == set(
        llm.names()
    )
    with pytest.raises(ValueError, match="there are offline, openai"):
        llm.load("opnai")


@pytest.mark.parametrize("name", llm.names())
def test_the_configuration_has_exactly_the_options_of_build(name: str) -> None:
    parameters = inspect.signature(llm.load(name).build).parameters
    problem, seed, *options = parameters.values()
    assert (problem.name, seed.name) == ("problem", "seed")
    assert all(option.kind is option.KEYWORD_ONLY for option in options)
    given = configuration(name)
    assert [option.name for option in options] == list(given)
    for option in options:
        default = "???" if option.default is option.empty else option.default
        value = given[option.name]
        assert (tuple(value) if isinstance(value, list) else value) == default


@pytest.mark.parametrize("name", llm.names())
def test_a_model_has_a_name_and_answers_from_many_threads(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with built(name, tmp_path) as model, ThreadPoolExecutor(4) as threads:
        assert model.name
        replies = list(threads.map(lambda key: model.complete(ASKED, key), KEYS))
        again = [model.complete(ASKED, key) for key in KEYS]
    assert replies == again
    for reply in replies:
        assert isinstance(reply, Reply)
        assert reply.text
        assert min(reply.prompt_tokens, reply.completion_tokens, reply.usd) >= 0


@pytest.mark.parametrize("name", llm.names())
def test_an_unknown_option_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'modle'"):
        llm.load(name).build(PROBLEM, 0, modle="m")
