"""Claims about keeping replies and replaying them."""

import json
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from adrs.llm import offline, recorded
from adrs.llm.model import Key, Message, ModelError, ModelUnavailableError, Reply
from adrs.llm.scripted import Scripted
from evaluators.problems import load
from tests.llm.policies import AGED, CHUNKED
from tests.llm.test_offline import question

PROBLEM = load("scheduling")
KEYS = [Key(round_, slot, 0) for round_ in (1, 2) for slot in range(4)]


class Costly:
    """A model whose reply tells its key, and which counts its questions."""

    name = "costly"

    def __init__(self) -> None:
        self.asked = 0

    def complete(self, messages: tuple[Message, ...], key: Key) -> Reply:
        self.asked += 1
        if key.attempt == 9:
            raise ModelError("refused", Reply("", 3, 0, 0.5))
        return Reply(f"é \ud800 {key} {messages[-1].content}", 10, 2, 0.125)


def said(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def test_a_replay_equals_what_was_recorded_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    kept = recorded.record(offline.build(PROBLEM, 3), path)
    asked = question(AGED, CHUNKED)
    with ThreadPoolExecutor(4) as threads:
        first = list(threads.map(lambda key: kept.complete(asked, key), KEYS))
    replay = recorded.build(PROBLEM, 0, path=str(path))
    assert [replay.complete(asked, key) for key in reversed(KEYS)] == first[::-1]
    assert replay.name == "offline"


def test_costs_and_any_letters_survive(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    first = recorded.record(Costly(), path).complete(said("hi"), KEYS[0])
    replay = recorded.build(PROBLEM, 0, path=str(path))
    assert replay.complete(said("hi"), KEYS[0]) == first
    assert first.usd == 0.125


def test_a_question_already_answered_is_not_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    recorded.record(Costly(), path).complete(said("hi"), KEYS[0])
    model = Costly()
    again = recorded.record(model, path)
    again.complete(said("hi"), KEYS[0])
    assert model.asked == 0
    again.complete(said("other"), KEYS[0])
    again.complete(said("hi"), KEYS[1])
    assert model.asked == 2
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3


def test_errors_of_a_question_are_kept_with_their_cost(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    model = Costly()
    for _ in range(2):
        with pytest.raises(ModelError, match="refused"):
            recorded.record(model, path).complete(said("hi"), Key(1, 0, 9))
    with pytest.raises(ModelError, match="refused") as caught:
        recorded.build(PROBLEM, 0, path=str(path)).complete(said("hi"), Key(1, 0, 9))
    assert caught.value.spent == Reply("", 3, 0, 0.5)
    assert model.asked == 1


def test_an_endpoint_that_is_down_is_not_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    kept = recorded.record(Scripted([ModelUnavailableError("down")]), path)
    with pytest.raises(ModelUnavailableError):
        kept.complete(said("hi"), KEYS[0])
    assert not path.read_bytes()


def test_a_changed_prompt_and_a_missing_question_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    recorded.record(Costly(), path).complete(said("hi"), Key(2, 1, 0))
    replay = recorded.build(PROBLEM, 0, path=str(path))
    with pytest.raises(ModelError, match="round 2 slot 1 attempt 0 was recorded for"):
        replay.complete(said("hi!"), Key(2, 1, 0))
    with pytest.raises(ModelError, match="round 2 slot 2 attempt 0 was never recorded"):
        replay.complete(said("hi"), Key(2, 2, 0))


def test_a_line_torn_by_a_kill_is_forgotten_and_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    kept = recorded.record(Costly(), path)
    for key in KEYS[:2]:
        kept.complete(said("hi"), key)
    whole = path.read_bytes()
    for size in (1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        resumed = recorded.record(Costly(), path)
        for key in KEYS[:2]:
            resumed.complete(said("hi"), key)
        assert path.read_bytes() == whole


def test_a_file_of_something_else_is_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text(json.dumps({"round": 1}) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 1 is not a recorded reply"):
        recorded.build(PROBLEM, 0, path=str(path))


@pytest.mark.parametrize("name", ["absent", "."])
def test_a_path_that_is_no_file_is_told_with_what_is_expected(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(
        OSError, match=r"^no replies .* expected llm\.path to be"
    ) as told:
        recorded.build(PROBLEM, 0, path=str(tmp_path / name))
    assert str(tmp_path / name) in str(told.value)


@contextmanager
def full_disk(n_bytes: int) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_reply_that_finds_no_room_is_named_and_harms_no_other(
    tmp_path: Path,
) -> None:
    path = tmp_path / "replies.jsonl"
    kept = recorded.record(Costly(), path)
    first = kept.complete(said("hi"), KEYS[0])
    with (
        full_disk(path.stat().st_size + 20),
        pytest.raises(OSError, match=r"cannot keep a reply in .*replies\.jsonl"),
    ):
        kept.complete(said("hi"), KEYS[1])
    assert (
        recorded.build(PROBLEM, 0, path=str(path)).complete(said("hi"), KEYS[0])
        == first
    )
    second = kept.complete(said("hi"), KEYS[1])
    replay = recorded.build(PROBLEM, 0, path=str(path))
    assert [replay.complete(said("hi"), key) for key in KEYS[:2]] == [first, second]
