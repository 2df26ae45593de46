"""An endpoint that fails every question is waited for; one that fails some is not."""

import pytest

from adrs.asking import Outage
from adrs.budget import Limits
from adrs.campaign import Search
from adrs.guard import LEAST_IN_A_ROW, Guarded
from adrs.llm.model import Key, ModelError, ModelUnavailableError
from adrs.llm.recorded import Replay, Replies, record
from tests.loop_parts import Turner, run


class Failing:
    """A model whose endpoint answers from round 3 on so many questions with 500."""

    name = Turner.name

    def __init__(self, n_failures):
        self.model, self.left = Turner(), n_failures

    def complete(self, messages, key):
        if key.round >= 3 and self.left > 0:
            self.left -= 1
            raise ModelError("out of order (500)", is_outage=True)
        return self.model.complete(messages, key)


def guarded(place, n_failures, *, is_wary=False):
    return record(Guarded(Failing(n_failures), 8, is_wary=is_wary), place / "replies")


def search(waits, give_up_s=600):
    outage = Outage(give_up_s=give_up_s, sleep=waits.append)
    return Search(slots=8, patience=2, outage=outage)


def test_a_search_outlives_an_endpoint_that_only_fails_and_replays_the_same(tmp_path):
    waits = []
    parts = {"limits": Limits(evaluations=40), "search": search(waits)}
    journal = run(tmp_path / "j", model=guarded(tmp_path, 30), **parts)
    assert waits
    assert b'"reason": "evaluations"' in journal
    assert journal.count(b"out of order") <= 3  # before it was told for an outage
    replay = Replay(Replies(tmp_path / "replies"))
    assert run(tmp_path / "again", model=replay, **parts) == journal


def test_an_endpoint_that_stays_so_ends_the_run_which_goes_on_later(tmp_path):
    parts = {"limits": Limits(evaluations=40), "search": search([], 2)}
    path = tmp_path / "j"
    with pytest.raises(ModelUnavailableError, match=r"out of order .*waited 2 s"):
        run(path, model=guarded(tmp_path, 10_000), **parts)
    before = path.read_bytes()
    assert b"stalled" not in before
    with pytest.raises(ModelUnavailableError):
        run(path, model=guarded(tmp_path, 10_000, is_wary=True), **parts)
    assert path.read_bytes() == before
    journal = run(path, model=guarded(tmp_path, 0, is_wary=True), **parts)
    assert journal.startswith(before)
    assert b'"reason": "evaluations"' in journal


def test_failures_between_answers_are_the_questions_own():
    model = Guarded(Failing(10_000), 1, is_wary=False)
    for _ in range(3):
        for slot in range(LEAST_IN_A_ROW - 1):
            with pytest.raises(ModelError):
                model.complete((), Key(3, slot, 0))
        model.complete((), Key(1, 0, 0))
