"""Claims about replies written beforehand."""

from pathlib import Path

import pytest

from adrs.llm import scripted
from adrs.llm.model import Key, Message, ModelError, Reply
from evaluators.problems import load

PROBLEM = load("scheduling")
ASKED = (Message("user", "?"),)


def test_replies_follow_one_another_by_key_whatever_the_order_of_asking() -> None:
    model = scripted.build(PROBLEM, 0, replies=["a", "b", "c", "d"], slots=2)
    keys = [Key(2, 1, 0), Key(1, 0, 0), Key(2, 0, 0), Key(1, 1, 0), Key(3, 0, 0)]
    assert [model.complete(ASKED, key).text for key in keys] == [
        "d",
        "a",
        "c",
        "b",
        "a",
    ]
    assert model.complete(ASKED, Key(1, 0, 1)) == Reply("b")


def test_a_file_holds_replies_set_apart_by_a_line(tmp_path: Path) -> None:
    path = tmp_path / "replies.txt"
    path.write_text("one\n\n```python\n1 %% 2\n```\n%%\ntwo\n%%\n", encoding="utf-8")
    assert scripted.read(path) == ("one\n\n```python\n1 %% 2\n```", "two")
    model = scripted.build(PROBLEM, 0, path=str(path))
    assert model.complete(ASKED, Key(1, 1, 0)).text == "two"


def test_a_script_may_fail_on_purpose() -> None:
    model = scripted.Scripted([ModelError("refused"), "fine"])
    with pytest.raises(ModelError, match="refused"):
        model.complete(ASKED, Key(1, 0, 0))
    assert model.complete(ASKED, Key(1, 0, 1)).text == "fine"


def test_a_script_without_replies_is_refused() -> None:
    with pytest.raises(ValueError, match=r"give llm\.replies or llm\.path"):
        scripted.build(PROBLEM, 0)
