"""What is shown while a campaign runs, on a terminal and in a log."""

import io

from adrs import progress
from adrs.progress import Progress, Status, line

STATUS = Status(
    stage="evolve",
    best=0.93,
    best_seed=0.9,
    evaluated=30,
    wanted=120,
    valid=27,
    usd=1.5,
    left_s=61.0,
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_line_says_scores_progress_cost_and_time_left_in_80_columns():
    said = line(STATUS)
    assert said == (
        "evolve | best 0.9300 | seed 0.9000 | 30/120 | 90% valid | $1.50 | 1 min left"
    )
    assert len(said) < 80


def test_time_left_is_in_words_that_fit_it():
    ends = [line(STATUS._replace(left_s=s)) for s in (None, 4.2, 3000, 9000)]
    lefts = [end.split(" | ")[-1] for end in ends]
    assert lefts == ["? left", "4 s left", "50 min left", "2 h 30 min left"]


def test_what_has_no_limit_shows_none():
    assert "| 30 |" in line(STATUS._replace(wanted=None))


def test_a_terminal_keeps_one_line_and_gets_its_end_at_the_close(monkeypatch):
    monkeypatch.setattr(progress, "LIVE_S", 0.0)
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    shown = Progress(stream)
    shown.show(STATUS._replace(evaluated=31))
    shown.show(STATUS)
    assert stream.getvalue().count("\n") == 0
    assert stream.getvalue().count("\r") == 2
    shown.close()
    shown.close()
    assert stream.getvalue().endswith(f"\x1b[2K{line(STATUS)[:59]}\n")


def test_a_log_gets_whole_lines_now_and_then_and_no_control_letters(monkeypatch):
    stream = io.StringIO()
    shown = Progress(stream)
    shown.show(STATUS)
    assert stream.getvalue() == ""
    monkeypatch.setattr(progress, "PLAIN_S", 0.0)
    shown.show(STATUS)
    shown.close()
    assert stream.getvalue() == line(STATUS) + "\n"
