"""What is shown while a campaign runs, on a terminal and in a log."""

import io

from adrs import progress
from adrs.progress import Progress, Status, line

STATUS = Status(
    best=0.93,
    best_seed=0.9,
    evaluated=30,
    wanted=120,
    valid=27,
    usd=1.5,
    elapsed_s=20.0,
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_line_says_score_gain_progress_cost_and_time_left():
    assert line(STATUS) == (
        "best 0.9300 (+0.0300 on the best seed 0.9000) | 30/120 evaluated, 90% valid"
        " | $1.50 | 1 min left"
    )


def test_time_left_is_unknown_before_the_first_evaluation():
    assert line(STATUS._replace(evaluated=0)).endswith("| ? left")


def test_a_terminal_keeps_one_line_and_gets_its_end_at_the_close(monkeypatch):
    monkeypatch.setattr(progress, "LIVE_S", 0.0)
    stream = Terminal()
    shown = Progress(stream)
    shown.show(STATUS)
    shown.show(STATUS._replace(evaluated=31))
    assert stream.getvalue().count("\n") == 0
    assert stream.getvalue().count("\r") == 2
    shown.close()
    shown.close()
    assert stream.getvalue().endswith("left\n")


def test_a_log_gets_whole_lines_now_and_then_and_no_control_letters(monkeypatch):
    stream = io.StringIO()
    shown = Progress(stream)
    shown.show(STATUS)
    assert stream.getvalue() == ""
    monkeypatch.setattr(progress, "PLAIN_S", 0.0)
    shown.show(STATUS)
    shown.close()
    assert stream.getvalue() == line(STATUS) + "\n"
