from dataclasses import replace

import numpy as np
import pytest

from evaluators.calibration.copy_curve import parse_curve
from evaluators.kernels import curves, gauges, provenance
from evaluators.kernels.provenance import Provenance
from evaluators.kernels.spread import Spread
from evaluators.kernels.table import Table
from tests.kernels.tables import who


def test_what_was_written_is_read_again(tmp_path):
    provenance.write(tmp_path, who())
    assert provenance.read(tmp_path) == who()


@pytest.mark.parametrize("name", provenance.MUST_AGREE)
def test_tables_of_two_set_ups_do_not_mix(tmp_path, name):
    provenance.write(tmp_path, who())
    with pytest.raises(ValueError, match=f"with {name}.*choose another folder"):
        provenance.check_same(tmp_path, replace(who(), **{name: "another"}))


def test_a_later_call_may_be_of_another_day_and_commit(tmp_path):
    provenance.write(tmp_path, who())
    provenance.check_same(tmp_path, replace(who(), date="later", commit="other"))
    provenance.check_same(tmp_path / "new", who())


def test_a_folder_without_it_holds_no_measured_tables(tmp_path):
    with pytest.raises(ValueError, match="no measured tables"):
        provenance.read(tmp_path)
    (tmp_path / provenance.FILE).write_text('{"kind": "cpu"}')
    with pytest.raises(ValueError, match="other keys"):
        provenance.read(tmp_path)


def test_gauges_are_summed_up_and_what_is_not_shown_is_left_out(tmp_path):
    path = tmp_path / "gauges.csv"
    path.write_text("345, 3201, 70.5, [N/A], 0\n1980, 3201, 600.1, [N/A], 100\n19")
    found = gauges.summed_up(path)
    assert found["clocks.sm"] == [345.0, 1162.5, 1980.0]
    assert found["power.draw"][2] == 600.1
    assert "temperature.gpu" not in found
    assert gauges.summed_up(tmp_path / "none.csv") == {}


def test_a_copy_curve_comes_of_the_table_and_loads(tmp_path):
    provenance.write(tmp_path, who())
    with Table(tmp_path / "copies.csv", ("direction", "bytes", "pieces")) as table:
        for size, seconds in ((4096, 5e-6), (16384, 4.9e-6), (1 << 20, 3e-5)):
            spread = Spread(seconds, seconds, seconds, 9)
            table.append(("to_host", size, 1), "copy_", spread, 0.0)
            table.append(("to_host", size, 16), "copy_", spread, 0.0)
    assert curves.write(tmp_path) == ("to_host",)
    text = (tmp_path / "copy_curves" / "to_host.json").read_text()
    curve = parse_curve("to_host", text)
    assert curve.status == "measured"
    assert curve.copy_ps(4096) == curve.copy_ps(16384) == 5_000_000
    assert curve.copy_ps(1 << 20) == 30_000_000


def test_copies_that_show_no_bandwidth_give_no_curve(tmp_path):
    provenance.write(tmp_path, who())
    with Table(tmp_path / "copies.csv", ("direction", "bytes", "pieces")) as table:
        for size, seconds in ((4096, 5e-6), (16384, 4.9e-6), (1 << 16, 4e-6)):
            spread = Spread(seconds, seconds, seconds, 9)
            table.append(("within", size, 1), "copy_", spread, 0.0)
    assert curves.write(tmp_path) == ()
    with pytest.raises(ValueError, match="measure larger"):
        curves.copy_curve("x", "", np.array([1, 2, 3]), np.array([1e-6] * 3))


def test_the_commit_of_this_checkout_is_known_or_nobody_knows_it():
    found = provenance.commit()
    assert found is None or len(found.removesuffix("+")) == 40
    assert isinstance(who(), Provenance)
