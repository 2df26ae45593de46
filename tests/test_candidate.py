"""A candidate's id is what it does, not how it is laid out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adrs.candidate import candidate
from evaluators.evaluation import PolicyError

SOURCE = (
    '"""Idea."""\nclass K:\n    knob = 1\n\n    def rank(self, w):\n        return w\n'
)


def made(source):
    return candidate(source, origin="test")


def test_layout_comments_and_docstrings_do_not_make_another_candidate():
    other = (
        "class K:  # told\n  knob=1\n  def rank(self,w):\n    'Ranks.'\n    return w"
    )
    assert made(other).id == made(SOURCE).id
    assert made(SOURCE).idea == "Idea."


@pytest.mark.parametrize(
    ("old", "new"), [("= 1", "= 2"), ("= 1", "= 1.0"), ("w\n", "-w\n"), ("K", "L")]
)
def test_what_can_matter_makes_another_candidate(old, new):
    assert made(SOURCE.replace(old, new)).id != made(SOURCE).id


def test_an_idea_cannot_steer_a_terminal_or_break_a_line():
    idea = made('"""\\x1b[2JIdea\\r\\ud800\\u202e.\\nMore."""\n').idea
    assert idea == "[2JIdea ."
    assert len(made('"""' + "a" * 500 + '"""').idea) == 120


def test_an_id_is_the_same_in_every_version():
    assert made(SOURCE).id == "e459364992296f34"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("x = (", "line 1"),
        ("x = '\ud800'", "cannot be parsed"),
        ("x = 1\n" * 20_000, "bytes, at most"),
        ("import os", "import os is not available"),
    ],
)
def test_what_cannot_be_a_policy_is_refused_with_the_reason(source, why):
    with pytest.raises(PolicyError, match=why):
        made(source)


@given(st.text())
def test_any_text_is_a_candidate_or_a_typed_failure(source):
    try:
        assert made(source).source == source
    except PolicyError as error:
        assert error.failure.kind == "source"
