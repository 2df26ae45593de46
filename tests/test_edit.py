"""Replies become sources exactly as written, or errors that teach."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adrs.edit import EditError, apply

SOURCE = """class K:
    limit = 3
    floor = 1

    def rank(self, waiting):
        return waiting.arrived_s
"""


def hunk(search, replace):
    return f"<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


def refused(reply, source=SOURCE):
    with pytest.raises(EditError) as caught:
        apply(reply, source)
    return caught.value.kind, str(caught.value)


def test_a_fenced_file_replaces_the_parent():
    assert apply(f"Better:\n```python\n{SOURCE}```\nDone.", "old") == SOURCE


def test_carriage_returns_do_not_reach_the_source():
    assert apply(f"```py\r\n{SOURCE}```".replace("\n", "\r\n"), "old") == SOURCE


def test_blocks_without_a_class_are_prose():
    assert apply(f"```\nx = 1\n```\n```python\n{SOURCE}```", "old") == SOURCE


def test_hunks_are_applied_in_order_fenced_or_not():
    reply = "```\n" + hunk("    limit = 3", "    limit = 4") + "```\n"
    reply += hunk("    limit = 4\n    floor = 1", "    limit = 5")
    changed = SOURCE.replace("limit = 3\n    floor = 1", "limit = 5")
    assert apply(reply, SOURCE) == changed


def test_a_hunk_may_delete_and_trailing_blanks_do_not_matter():
    reply = "<<<<<<< SEARCH\n    floor = 1   \n=======\n>>>>>>> REPLACE"
    assert apply(reply, SOURCE) == SOURCE.replace("    floor = 1\n", "")


def test_a_hunk_that_misses_is_named_with_the_nearest_line():
    reply = hunk("    limit = 3", "    limit = 9") + hunk("    flor = 1", "    x = 2")
    kind, message = refused(reply)
    assert kind == "no_match"
    assert "hunk 2" in message
    assert "line 3: '    floor = 1'" in message


def test_a_hunk_whose_lines_are_not_together_says_so():
    reply = hunk("    floor = 1\n    limit = 3", "")
    assert refused(reply) == (
        "no_match",
        "hunk 1: its search lines are in the file, but not in this order",
    )


def test_a_hunk_that_matches_twice_is_ambiguous():
    kind, message = refused(hunk("x = 1", "x = 2"), "x = 1\ny = 2\nx = 1\n")
    assert kind == "ambiguous"
    assert "2 places (lines 1, 3)" in message


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("", "empty"),
        (" \n\t\n", "empty"),
        ("I would rather not.", "no_code"),
        ("```python\nx = 1\n```", "no_code"),
        (f"```python\n{SOURCE}", "cut_off"),
        (f"```python\n{SOURCE}```\n```python\n{SOURCE}```", "ambiguous"),
        ("<<<<<<< SEARCH\n    limit = 3\n", "cut_off"),
        ("<<<<<<< SEARCH\n    limit = 3\n=======\n    lim", "cut_off"),
        (hunk("", "x = 1"), "no_match"),
    ],
)
def test_a_reply_that_cannot_be_applied_has_a_kind(reply, kind):
    assert refused(reply)[0] == kind


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("```python\n" + "class K:\n" * 40_000 + "```", "too_long"),
        (hunk("    limit = 3", "    limit = 3") * 201, "too_long"),
        (hunk("x", "y") * 6_000, "too_long"),
        (hunk("a" * 100_000, "b"), "no_match"),
        ("<<<<<<< SEARCH\n" * 15_000, "cut_off"),
    ],
)
def test_replies_of_any_size_are_judged_at_once_and_in_a_short_message(reply, kind):
    began_s = time.process_time()
    source = "b" * 60_000 + "\n" + SOURCE
    found, message = refused(reply, source)
    assert found == kind
    assert len(message) <= 200
    assert time.process_time() - began_s < 1


LINES = st.lists(st.text("abc =#", max_size=6), min_size=1, max_size=12)


@given(LINES, LINES, st.data())
def test_a_hunk_that_quotes_one_place_replaces_just_it(lines, new, data):
    source = [f"{number} {line}" for number, line in enumerate(lines)]
    start = data.draw(st.integers(0, len(source) - 1))
    end = data.draw(st.integers(start + 1, len(source)))
    reply = hunk("\n".join(source[start:end]), "\n".join(new))
    changed = "\n".join([*source[:start], *new, *source[end:]])
    assert apply(reply, "\n".join(source)) == changed


@given(st.text(), st.text())
def test_any_reply_is_applied_or_refused_with_a_reason(reply, source):
    try:
        apply(reply, source)
    except EditError as error:
        assert str(error)


MARKED = st.lists(
    st.sampled_from([
        "<<<<<<< SEARCH",
        "=======",
        ">>>>>>> REPLACE",
        "```python",
        "```",
        "class A:",
    ])
)


@given(MARKED)
def test_any_order_of_markers_is_applied_or_refused(lines):
    test_any_reply_is_applied_or_refused_with_a_reason.hypothesis.inner_test(
        "\n".join(lines), SOURCE
    )
