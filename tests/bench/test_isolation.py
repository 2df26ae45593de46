"""What each layer costs a policy: python -m pytest -m bench -s tests/bench."""

import os
import socket
import statistics
import struct
import time

import pytest

from adrs import isolation
from evaluators.confine import LAYERS, POLICY_DESCRIPTOR, Confinement, Limits, confine

pytestmark = pytest.mark.bench
LIMITS = Limits(cpu_s=10, wall_s=60, memory_bytes=1 << 28)
FORKS = 200
PAIR = struct.Struct("2d")


def cpu_s():
    """CPU time of this thread, which neighbours change little."""
    return time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)


def taken_us(confinement, layers):
    """CPU time that a fresh fork takes to put some layers in force."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    steps = confinement.steps(layers, LIMITS)
    if os.fork() == 0:
        before_s = cpu_s()
        confine(steps, theirs.fileno())
        os.write(POLICY_DESCRIPTOR, PAIR.pack(before_s, cpu_s()))
        os._exit(0)
    theirs.close()
    before_s, after_s = PAIR.unpack(ours.recv(PAIR.size))
    ours.close()
    os.wait()
    return (after_s - before_s) * 1e6


def test_the_layers_of_the_strict_level_cost_less_than_half_a_millisecond():
    confinement, medians = Confinement(), {}
    for count in range(1, len(LAYERS) + 1):
        layers = LAYERS[:count]
        taken = [taken_us(confinement, layers) for _ in range(FORKS)]
        medians[layers[-1]] = statistics.median(taken)
        print(f"up to {layers[-1]:<12} {medians[layers[-1]]:6.0f} us of CPU time")
    assert medians["seccomp"] - medians["privileges"] < 500


def test_the_probes_take_seconds_at_most_and_once_a_run():
    isolation.probed.cache_clear()
    before_s = time.perf_counter()
    isolation.probed()
    taken_s = time.perf_counter() - before_s
    print(f"probes: {taken_s:.2f} s, once a run")
    assert taken_s < 5
