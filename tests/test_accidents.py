"""What befalls the judge or the machine is never scored as a policy's doing."""

import errno

import pytest

from adrs import sandbox
from evaluators import frames
from evaluators.mirror import Teller
from tests.attacks.table import LIMITS
from tests.sandbox_problem import HONEST, PROBLEM, exam

NO_BUFFERS = OSError(errno.ENOBUFS, "No buffer space available")


@pytest.fixture(scope="module", autouse=True)
def zygote():
    yield
    sandbox.close_zygote()


def judged():
    return sandbox.evaluate(PROBLEM, HONEST, exam(), LIMITS)


def failing(real, error, calls):
    """The function, but for the calls of those numbers, which raise."""
    count = iter(range(1_000_000))

    def sometimes(*given):
        if next(count) in calls:
            raise error
        return real(*given)

    return sometimes


@pytest.mark.parametrize("call", [0, 1, 5])
def test_a_machine_without_buffers_for_a_moment_changes_nothing(monkeypatch, call):
    calm = judged()
    sends = failing(frames.Channel._send_packet, NO_BUFFERS, {call})
    monkeypatch.setattr(frames.Channel, "_send_packet", sends)
    assert judged() == calm


def test_a_machine_without_buffers_stops_us_and_scores_nobody(monkeypatch):
    sends = failing(frames.Channel._send_packet, NO_BUFFERS, range(1_000_000))
    monkeypatch.setattr(frames.Channel, "_send_packet", sends)
    with pytest.raises(OSError, match="No buffer space"):
        judged()


def test_our_own_lack_of_memory_is_not_the_policy_s(monkeypatch):
    tells = failing(Teller.told, MemoryError(), {3})
    monkeypatch.setattr(Teller, "told", tells)
    with pytest.raises(MemoryError):
        judged()
