"""What a run says at its end is what happened, also when little did."""

from dataclasses import replace

import pytest

from adrs.archive import Archive
from adrs.budget import Limits
from adrs.llm.model import ModelError
from adrs.summary import gains, summary
from tests.loop_parts import Turner, run
from tests.test_verdict import SEED, contender, verdict

EVOLVED = contender("new", "evolved", 0.6, (0.6,) * 4)
TUNED = contender("tuned", "tuned", 0.6, (0.5,) * 4)


class Refusing(Turner):
    def complete(self, messages, key):
        raise ModelError("refused: I may not")


@pytest.mark.parametrize(
    ("n_tuned", "said"),
    [(16, "tuned with as many evaluations"), (9, "tuned with 9 of 16 evaluations")],
)
def test_the_control_arm_is_said_to_have_had_what_it_had(n_tuned, said):
    found = verdict(SEED, EVOLVED, TUNED)
    found = replace(found, n_evolved=16, n_tuned=n_tuned)
    lines = gains(found, EVOLVED)
    assert any(said in line for line in lines)
    assert "validation exams: exams" in lines


def test_a_claim_says_how_the_best_of_many_was_named_and_what_was_left_of_its_gain():
    own = replace(EVOLVED, trained=(0.9, 0.8, 0.9, 0.8))
    base = replace(SEED, trained=(0.5, 0.5, 0.5, 0.5))
    found = replace(verdict(base, own), n_evolved=16)
    found = replace(found, train_regimes=(0.8, 0.8, 1.2, 1.2))
    text = "\n".join(gains(found, own))
    assert "of 16 evolved policies the 1 best on train sat validation" in text
    assert "gain over the best seed on train +0.3500, on validation +0.1000" in text
    assert "ALARM" not in text
    many = replace(found, n_evolved=1, regimes=(0.8,) * 9 + (1.2,) * 9)
    own, base = replace(own, report=(0.6,) * 18), replace(base, report=(0.5,) * 18)
    assert "ALARM" in gains(replace(many, contenders=(base, own)), own)[-1]


@pytest.mark.parametrize(
    ("limits", "model", "said"),
    [
        (Limits(evaluations=0), Turner(), "ended by evaluations before the first"),
        (Limits(evaluations=9), Refusing(), "stalled, 80 answers gave none, the last"),
    ],
    ids=["no budget", "no answer"],
)
def test_a_run_that_evaluated_nothing_says_why(tmp_path, limits, model, said):
    run(tmp_path / "j", limits, model=model)
    with Archive.read(tmp_path / "j") as archive:
        text = summary(archive, verdict(SEED))
    assert "no evolved policy was evaluated" in text
    assert said in text


def test_a_run_whose_policies_all_failed_says_so(tmp_path):
    run(tmp_path / "j", Limits(evaluations=1))
    with Archive.read(tmp_path / "j") as archive:
        text = summary(archive, replace(verdict(SEED), n_evolved=7))
    assert text.startswith("none of 7 evolved policies was valid on every exam")
