"""A slot gets a new policy or a reason, and one chance to mend its answer."""

import pytest

from adrs.archive import Archive
from adrs.candidate import Trial, candidate
from adrs.llm.model import Key, Message, ModelError, Reply
from adrs.llm.scripted import Scripted
from adrs.propose import Slot, propose
from adrs.records import Proposed, Rejected
from tests.loop_parts import HEADER, SOURCE, Knob, judge

PARENT = candidate(SOURCE.format(1), origin="seed low")
ASKED = (Message("system", "rules"), Message("user", "improve this"))


class Listening(Scripted):
    """A scripted model that keeps the questions."""

    def complete(self, messages, key):
        self.__dict__.setdefault("asked", []).append((key, messages))
        return super().complete(messages, key)


def block(source):
    return f"```python\n{source}```"


def method(arguments, body="return a"):
    return block(f"class K:\n    def rank({arguments}):\n        {body}\n")


def answer(*script, known=()):
    model = Listening(script)
    trial = Trial(0, 0, PARENT, judge(PARENT.source))
    slot = Slot(1, 0, trial, ("beside",), ASKED, lambda id_: id_ in known)
    return propose(model, Knob().hooks, slot), model.asked


def test_a_good_answer_becomes_a_candidate_of_its_parents():
    got, asked = answer(block(SOURCE.format(2)))
    made = candidate(SOURCE.format(2), parents=(PARENT.id, "beside"), origin="scripted")
    assert got == Proposed(1, 0, made)
    assert [key for key, _ in asked] == [Key(1, 0, 0)]


@pytest.mark.parametrize(
    ("bad", "reason", "why"),
    [
        ("no idea", "edit", "no_code: 0 code blocks"),
        (block("class K:\n    rank = (\n"), "source", "line 2"),
        (block("class K:\n    knob = 2\n"), "source", "no class has a hook"),
        (block("import os\n" + SOURCE.format(2)), "source", "line 1: import os"),
        (method("self"), "source", "write def rank(self, waiting)"),
        (method("self, a, b"), "source", "write def rank(self, waiting)"),
        (method("self, a, *, b"), "source", "write def rank(self, waiting)"),
        (method("self, a", "yield a"), "source", "return the whole answer at once"),
        (block("# same\n" + SOURCE.format(1)), "duplicate", "nothing changed"),
        (block(SOURCE.format(9)), "duplicate", "was proposed before"),
        (ModelError("refused"), "model", "refused"),
    ],
)
def test_a_bad_answer_is_told_why_once_and_then_rejected(bad, reason, why):
    known = {candidate(SOURCE.format(9), origin="x").id}
    mended, asked = answer(bad, block(SOURCE.format(2)), known=known)
    assert isinstance(mended, Proposed)
    assert [key.attempt for key, _ in asked] == [0, 1]
    assert why in asked[1][1][-1].content
    rejected, _ = answer(bad, bad, known=known)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == reason
    assert why in rejected.message


@pytest.mark.parametrize(
    "arguments", ["self, a", "self, a, b=1", "*all", "self, *rest", "self, a, *, b=1"]
)
def test_a_hook_may_take_its_arguments_in_any_way(arguments):
    inner = "f = lambda: (yield)\n        return arguments"
    got, _ = answer(method(arguments, inner))
    assert isinstance(got, Proposed)


def test_a_repair_shows_the_parent_again_as_the_only_block_of_the_last_message():
    _, asked = answer("no idea", block(SOURCE.format(2)))
    messages = asked[1][1]
    assert messages[:2] == ASKED
    assert messages[2] == Message("assistant", "no idea")
    assert messages[3].content.count("```python") == 1
    assert block(PARENT.source) in messages[3].content


def test_an_answer_without_text_is_not_put_into_the_models_mouth():
    _, asked = answer(ModelError("refused"), block(SOURCE.format(2)))
    assert [message.role for message in asked[1][1]] == ["system", "user"]
    assert asked[1][1][-1].content.startswith("improve this")


def test_what_both_attempts_cost_is_counted():
    class Priced(Scripted):
        def complete(self, messages, key):
            return Reply("no idea", 10, 5, 0.25)

    trial = Trial(0, 0, PARENT, judge(PARENT.source))
    slot = Slot(1, 0, trial, (), ASKED, lambda id_: False)
    rejected = propose(Priced(["x"]), Knob().hooks, slot)
    assert (rejected.tokens, rejected.usd) == (30, 0.5)


def test_a_rejection_is_one_printable_line_of_at_most_200_characters(tmp_path):
    rejected, _ = answer(ModelError("a\x00b\n" + "x" * 500))
    assert rejected.message == "a b " + "x" * 196
    with Archive.open(tmp_path / "j.jsonl", HEADER) as archive:
        archive.append(rejected)
        assert archive.as_of(1).rejections == [rejected]
