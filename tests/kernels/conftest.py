import pytest


@pytest.fixture(scope="session")
def torch():
    """Torch, or the reason why there is none."""
    return pytest.importorskip("torch", reason="kernels need torch: extra [gpu]")


@pytest.fixture(scope="session")
def bench(torch):
    """This CPU, measured with next to no effort."""
    from evaluators.kernels.bench import Effort
    from evaluators.kernels.bench import bench as made

    return made("cpu", Effort(2, 3, 0.001))
