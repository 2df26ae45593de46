import numpy as np
import pytest

from evaluators.kernels.refusals import Refusals
from evaluators.kernels.spread import Spread, repeats, spread
from evaluators.kernels.table import MEASURED, Table, read_table

MEDIAN = Spread(2e-3, 1e-3, 3e-3, 7)


def filled(path, *sizes):
    with Table(path, ("m", "name")) as table:
        for size in sizes:
            table.append(size, "linear", MEDIAN, 1e-7)


def test_a_row_is_on_the_disk_before_the_next_is_measured(tmp_path):
    table = Table(tmp_path / "t.csv", ("m", "name"))
    table.append((1, "a"), "linear", MEDIAN, 1e-7)
    assert read_table(tmp_path / "t.csv")["seconds_p50"].tolist() == [2e-3]


def test_a_run_cut_at_any_byte_keeps_its_whole_rows_and_goes_on(tmp_path):
    path = tmp_path / "t.csv"
    filled(path, (1, "a"), (2, "b"), (3, "c"))
    whole = path.read_bytes()
    for end in (*range(0, len(whole), 9), *range(len(whole) - 3, len(whole))):
        path.write_bytes(whole[:end])
        with Table(path, ("m", "name")) as table:
            missing = [s for s in ((1, "a"), (2, "b"), (3, "c")) if not table.has(s)]
            n_rows = max(0, whole[:end].count(b"\n") - 1)
            assert len(missing) == 3 - n_rows
            for size in missing:
                table.append(size, "linear", MEDIAN, 1e-7)
        assert path.read_bytes() == whole


def test_a_table_of_other_columns_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "t.csv"
    filled(path, (1, "a"))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="choose another folder"):
        Table(path, ("m", "n", "k"))
    assert path.read_bytes() == before


def test_a_size_of_the_wrong_length_is_no_row(tmp_path):
    with (
        Table(tmp_path / "t.csv", ("m", "name")) as table,
        pytest.raises(ValueError, match="columns"),
    ):
        table.append((1,), "linear", MEDIAN, 0.0)


def test_columns_come_back_as_numbers_where_they_are_and_as_words(tmp_path):
    path = tmp_path / "t.csv"
    filled(path, (1, "a"), (2, "b, with a comma"))
    table = read_table(path)
    assert list(table) == ["m", "name", *MEASURED]
    assert table["m"].dtype == np.int64
    assert table["max_error"].dtype == np.float64
    assert table["name"].tolist() == ["a", "b, with a comma"]


def test_a_table_without_rows_cannot_be_read(tmp_path):
    filled(tmp_path / "t.csv")
    with pytest.raises(ValueError, match="no rows"):
        read_table(tmp_path / "t.csv")


def test_what_was_refused_is_not_tried_again(tmp_path):
    path = tmp_path / "refused.csv"
    with Refusals(path) as refusals:
        refusals.append("gemm", (1, 2, 3), "error 0.5\nof two lines")
    with path.open("a") as file:
        file.write("gemm,4 5")  # a writer died here
    with Refusals(path) as refusals:
        assert refusals.has("gemm", (1, 2, 3))
        assert not refusals.has("gemm", (4, 5, 6))
    assert path.read_text().splitlines()[1:] == ["gemm,1 2 3,error 0.5 of two lines"]


def test_quantiles_are_those_of_the_timings():
    found = spread([float(x) for x in range(1, 12)])
    assert found == Spread(p50=6.0, p10=2.0, p90=10.0, repeats=11)


def test_a_slow_outlier_does_not_move_the_median():
    assert spread([1.0, 1.0, 1.0, 1.0, 50.0]).p50 == 1.0


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_clock_that_went_wrong_is_no_measurement(wrong):
    with pytest.raises(ValueError, match="positive"):
        spread([1.0, wrong])


def test_repeats_fill_the_budget_between_the_least_and_the_most():
    assert repeats(0.1, 1.0, least=3, most=100) == 10
    assert repeats(10.0, 1.0, least=3, most=100) == 3
    assert repeats(1e-6, 1.0, least=3, most=100) == 100
