"""Every law notices a run that breaks it."""

from dataclasses import replace

import numpy as np
import pytest

from evaluators.sim.engine import simulate
from evaluators.sim.laws import LawBrokenError, check
from evaluators.sim.run import Decision
from tests.sim.builders import served

SCENARIO = served([(0, 3, 6), (2, 3, 6), (9, 1, 1)], kv_blocks=10)


def changed(column: np.ndarray, row: int, by: int) -> np.ndarray:
    copy = column.copy()
    copy[row] += by
    return copy


def run_with(**changes):
    run = simulate(SCENARIO, None)
    return replace(
        run, **{name: change(getattr(run, name)) for name, change in changes.items()}
    )


def step_with(name: str, row: int, by: int):
    def change(steps):
        return replace(steps, **{name: changed(getattr(steps, name), row, by)})

    return {"steps": change, "steps_of": lambda parts: tuple(map(change, parts))}


BREAKS = {
    "finishes or is rejected": {"finished_ps": lambda c: np.full_like(c, -1)},
    "rejected, exactly once": {"rejected": lambda rows: (*rows, 0)},
    "before it arrives": {"admitted_ps": lambda c: changed(c, 1, -40)},
    "comes after admission": {"first_token_ps": lambda c: changed(c, 0, -40)},
    "ends with its last token": {"finished_ps": lambda c: changed(c, 2, 1)},
    "longest gap": {"longest_gap_ps": lambda c: changed(c, 0, 10**6)},
    "tokens out": step_with("gaps", 2, 1),
    "every prompt": step_with("prefill_tokens", 0, -40),
    "computes more than": step_with("prefill_tokens", 0, 100),
    "more decode": step_with("decodes", 0, 9),
    "overlap": step_with("start_ps", 1, -1),
    "takes time": step_with("first_ps", 0, -100),
    "over capacity": {"peak_blocks": lambda n: n + 1},
    "free at the end": {"end_blocks": lambda n: n + 1},
    "once more after each": {"decisions": lambda d: (*d, Decision(0, "admit", 0))},
    "preemptions are counted": {"preemptions": lambda c: changed(c, 0, 1)},
}


def test_an_honest_run_breaks_no_law():
    run = simulate(SCENARIO, None)
    assert run.preemptions.any()
    check(SCENARIO, run)


@pytest.mark.parametrize("law", BREAKS)
def test_a_broken_law_is_named(law):
    with pytest.raises(LawBrokenError, match=law):
        check(SCENARIO, run_with(**BREAKS[law]))
