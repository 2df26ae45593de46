"""What a device refuses costs its own size only, and is not tried again."""

from types import SimpleNamespace

from evaluators.kernels import grid
from evaluators.kernels.refusals import Refusals
from evaluators.kernels.table import Table


def test_a_size_that_the_device_refuses_costs_no_other(bench, tmp_path):
    from evaluators.kernels.measuring import Work, _measure
    from evaluators.kernels.operation import Candidate

    asked = []

    def candidates(bench, grid, point):
        asked.append(point)
        if point == (2,):
            raise RuntimeError("out of memory")
        if point == (3,):
            return
        yield Candidate("right", [lambda: sum(range(9))], 0.0)

    operation = SimpleNamespace(NAME="made", SIZES=("n",), candidates=candidates)
    points = [(1,), (2,), (3,), (4,)]
    for _ in range(2):
        with (
            Table(tmp_path / "made.csv", ("n",)) as table,
            Refusals(tmp_path / "refused.csv") as refusals,
        ):
            work = Work(operation, points, table, 1.0)
            _measure(bench, grid.small(), work, refusals, until=float("inf"))
            assert [table.has(point) for point in points] == [True, False, False, True]
            assert refusals.has("made", (2,))
            assert refusals.has("made", (3,))
    assert asked == points
