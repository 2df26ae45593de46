"""The filter, run here over every number of every machine, says what its tables say."""

import errno
import re
from pathlib import Path

import pytest

from evaluators import kernel, seccomp
from evaluators.confine import POLICY_DESCRIPTOR
from evaluators.seccomp import ALLOW, ALLOWED, ERRNO, KILL, MACHINES, REFUSED

HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}
NUMBERS = range(1024)
X32_BIT = 0x40000000
"""Set in the numbers of x86-64's second, 32-bit wide table."""
EACCES = ERRNO | errno.EACCES
each_machine = pytest.mark.parametrize("machine", MACHINES)


def verdict(machine, number, third=0, audit=None, first=0):
    """What the machine's filter says of a call, run as the kernel's interpreter does.

    Only the instructions that a filter of ours has; see linux/bpf_common.h.
    """
    program = seccomp.policy_program(machine, POLICY_DESCRIPTOR)
    audit = MACHINES[machine].audit if audit is None else audit
    data = {0: number, 4: audit}
    for place, argument in ((16, first), (32, third)):
        data |= {place: argument & 0xFFFFFFFF, place + 4: argument >> 32}
    at, held = 0, 0
    while True:
        line = program.instructions[at]
        at += 1
        if line.code == seccomp.RETURN:
            return line.value
        if line.code == seccomp.LOAD:
            held = data[line.value]
            continue
        holds = {
            seccomp.EQUAL: held == line.value,
            seccomp.AT_LEAST: held >= line.value,
            seccomp.ANY_BIT: bool(held & line.value),
        }[line.code]
        at += line.if_true if holds else line.if_false


def numbers(machine, table):
    named = MACHINES[machine].numbers
    return {named[name] for name in table if name in named}


@each_machine
def test_what_is_not_named_ends_the_process(machine):
    named = set(MACHINES[machine].numbers.values())
    assert {verdict(machine, n) for n in NUMBERS if n not in named} == {KILL}


@each_machine
def test_what_is_named_passes_or_is_refused_as_its_table_says(machine):
    assert {verdict(machine, n) for n in numbers(machine, ALLOWED)} == {ALLOW}
    assert {verdict(machine, n) for n in numbers(machine, REFUSED)} == {EACCES}


@each_machine
def test_memory_that_could_be_run_is_refused(machine):
    for number in numbers(machine, seccomp.NOT_RUNNABLE):
        assert [verdict(machine, number, prot) for prot in (0, 1, 3)] == [ALLOW] * 3
        assert [verdict(machine, number, prot) for prot in (4, 5, 7)] == [EACCES] * 3


@each_machine
def test_clocks_are_the_machine_s_and_its_own(machine):
    for number in numbers(machine, seccomp.CLOCKS):
        assert {verdict(machine, number, first=n) for n in range(12)} == {ALLOW}
        others = [(~pid << 3) | 2 for pid in (1, 77, 1 << 21)]
        seen = {verdict(machine, number, first=n & (1 << 64) - 1) for n in others}
        assert seen == {EACCES}


@each_machine
def test_only_its_own_cores_are_told(machine):
    for number in numbers(machine, seccomp.OWN):
        assert verdict(machine, number, first=0) == ALLOW
        assert {verdict(machine, number, first=n) for n in (1, 77)} == {EACCES}


@each_machine
def test_only_the_descriptor_of_the_conversation_stays_open(machine):
    (close,) = numbers(machine, seccomp.KEPT)
    assert verdict(machine, close, first=POLICY_DESCRIPTOR) == KILL
    # The kernel looks at the low half only.
    assert verdict(machine, close, first=POLICY_DESCRIPTOR + (1 << 32)) == KILL
    others = {*range(1024)} - {POLICY_DESCRIPTOR}
    assert {verdict(machine, close, first=other) for other in others} == {ALLOW}


@each_machine
def test_no_other_table_of_numbers_leads_around_the_filter(machine):
    for number in numbers(machine, ALLOWED):
        assert verdict(machine, number | X32_BIT) == KILL
        assert verdict(machine, number, audit=0x40000003) == KILL
    (other,) = set(MACHINES) - {machine}
    assert verdict(machine, 0, audit=MACHINES[other].audit) == KILL


def test_a_machine_whose_numbers_nobody_knows_has_no_filter():
    with pytest.raises(OSError, match="no filter for riscv64"):
        seccomp.policy_program("riscv64", POLICY_DESCRIPTOR)


@each_machine
def test_numbers_are_those_of_the_kernel_headers(machine):
    header = Path(HEADERS[machine])
    if not header.exists():
        pytest.skip(f"needs the kernel's headers: {header}")
    found = re.findall(
        r"#define __NR(?:3264)?_(\w+)\s+(\d+)\n", header.read_text(encoding="utf-8")
    )
    real = {re.sub("^fstatat$", "newfstatat", name): int(n) for name, n in found}
    ours = MACHINES[machine].numbers | kernel.NUMBERS[machine] | kernel.COMMON
    assert {name: n for name, n in ours.items() if real.get(name, n) != n} == {}
    assert len(ours.keys() & real.keys()) > 0.9 * len(ours)
