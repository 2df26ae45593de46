import pytest

from evaluators.calibration.copy_curve import affine, load_curve, names, parse_curve
from tests.calibration.data import data_folder

GB = 10**9
CURVE = affine(
    "made up", "a test", launch_ps=1000, bytes_per_s=10 * GB, status="assumed"
)


@pytest.mark.parametrize("name", names())
def test_every_shipped_curve_says_who_measured_it_or_that_it_is_assumed(name):
    curve = load_curve(name)
    assert curve.status in ("measured", "assumed")
    assert len(curve.source) > 20


@pytest.mark.parametrize("name", names())
def test_a_larger_copy_never_takes_less_time_and_none_beats_the_peak(name):
    curve = load_curve(name)
    sizes = sorted({
        *range(0, 5000, 7),
        *(2**e + d for e in range(31) for d in (-1, 1)),
    })
    times = [curve.copy_ps(size) for size in sizes]
    assert times == sorted(times)
    for size, ps in zip(sizes, times, strict=True):
        assert ps * curve.peak() >= size
        assert curve.least_ps(size) <= ps


@pytest.mark.parametrize("name", names())
def test_one_large_copy_takes_no_longer_than_many_small_ones(name):
    curve = load_curve(name)
    for n in (16, 64):
        assert curve.copy_ps(n * 65536) <= n * curve.copy_ps(65536)


def test_a_copy_takes_its_launch_and_its_bytes():
    assert CURVE.copy_ps(0) == 0
    assert CURVE.copy_ps(1) == 1000 + 100
    assert CURVE.copy_ps(3_000_000) == 1000 + 3_000_000 * 100


def test_between_knots_the_time_is_on_the_line_rounded_up():
    text = '{"status": "measured", "source": "s", "knots": [[0, 10], [4, 11], [8, 21]]}'
    curve = parse_curve("small", text)
    assert [curve.copy_ps(size) for size in (1, 4, 5, 8, 12)] == [11, 11, 14, 21, 31]


@pytest.mark.parametrize(
    ("knots", "says"),
    [
        ("[[0, 5]]", "begin at 0 bytes"),
        ("[[1, 5], [2, 6]]", "begin at 0 bytes"),
        ("[[0, 5], [4, 4]]", "no less time"),
        ("[[0, 5], [4, 6], [4, 7]]", "more bytes"),
        ("[[0, 5], [4, 6], [8, 6]]", "no limit of bandwidth"),
        ("[[0, 5], [4, 6.5]]", "whole numbers"),
        ("[[0, 5], [4]]", "not enough values"),
    ],
)
def test_a_curve_that_no_link_has_is_refused_in_one_line(knots, says):
    text = f'{{"status": "measured", "source": "s", "knots": {knots}}}'
    with pytest.raises(ValueError, match=says) as caught:
        parse_curve("bad", text)
    assert "\n" not in str(caught.value)


def test_a_missing_or_unknown_key_and_an_unknown_name_are_refused():
    with pytest.raises(ValueError, match="status, source and knots"):
        parse_curve("bad", '{"knots": [[0, 1], [1, 2]]}')
    with pytest.raises(ValueError, match="pcie4_x16"):
        load_curve("carrier_pigeon")


APEX = "gpu/apex/comm/H100-SXM-80GB"


def test_the_measured_curve_between_two_gpus_is_the_published_table():
    pandas = pytest.importorskip("pandas")
    folder = data_folder(APEX) / APEX
    found = pandas.read_csv(folder / "sendrecv.csv.gz")
    least = found.groupby("size(kb)")["time(us)"].min().cummax()
    knots = [(int(kb) * 1024, round(us * 1e6)) for kb, us in least.items()]
    assert load_curve("nvlink_h100").knots == tuple(knots)
