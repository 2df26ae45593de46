"""What cannot work is said in one clear line, and nothing recorded is lost.

What is mistyped, a place that cannot be written and an endpoint that is not there are
in ``tests/test_main.py`` and ``tests/test_evolve.py``.
"""

import pytest

from tests.acceptance.command import adrs, evolve, is_one_line, limited

EIGHT = ("run=a", "budget.evaluations=8", "secret=public")
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
ROWS = "".join(f"2023-11-16 18:17:{s:02}.0000000,{100 + s},20\n" for s in range(60))
NEGATIVE = HEADER + ROWS.replace(",117,", ",-117,")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The journal of a run that nothing stopped."""
    place = tmp_path_factory.mktemp("whole")
    done = evolve(*EIGHT, cwd=place)
    assert done.returncode == 0, done.stderr
    return (place / "runs/a/journal.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(HEADER, "holds no request", id="no request"),
        pytest.param(NEGATIVE, "row 18: ContextTokens is -117", id="a negative length"),
        pytest.param("", "is empty", id="an empty file", marks=pytest.mark.slow),
    ],
)
def test_a_broken_trace_is_one_line(tmp_path, text, said):
    (tmp_path / "azure_llm_2023_conv.csv").write_text(text)
    typed = ("workload=azure_llm_2023_conv", f"data={tmp_path}")
    done = adrs("score", "fcfs", *typed, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert is_one_line(done.stderr)
    assert f"{tmp_path}/azure_llm_2023_conv.csv" in done.stderr
    assert said in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("option", ["data", "workload.data"])
def test_a_broken_trace_ends_a_run_before_it_asks_or_records_anything(tmp_path, option):
    trace = tmp_path / "azure_llm_2023_conv.csv"
    trace.write_text(NEGATIVE)
    typed = ("workload=azure_llm_2023_conv", f"{option}={tmp_path}", "run=a")
    done = evolve(*typed, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert [line[:5] for line in done.stderr.splitlines()] == ["run a", "error"]
    assert "row 18: ContextTokens is -117" in done.stderr
    assert not (tmp_path / "runs/a").exists()


@pytest.mark.slow
@pytest.mark.parametrize("n_bytes", [0, 100, 1500, 3000, 12_000, 25_000, 40_000])
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(
    tmp_path, whole, n_bytes
):
    full = evolve(*EIGHT, cwd=tmp_path, preexec_fn=limited(n_bytes))
    assert full.returncode == 1, full.stderr
    assert "Traceback" not in full.stderr
    last = full.stderr.splitlines()[-1]
    assert last.startswith("error: cannot ")
    assert "File too large" in last
    journal = tmp_path / "runs/a/journal.jsonl"
    before = journal.read_bytes() if journal.exists() else b""
    assert whole.startswith(before)
    done = evolve(*EIGHT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert journal.read_bytes() == whole
