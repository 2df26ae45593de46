"""Class T: to change what is not the policy's own."""

from tests.attacks.table import (
    LAYERED,
    OS,
    PRIVILEGED,
    PROCESSES,
    Attack,
    ctypes_hook,
    hook,
)

KILLED = ("crash", "SIGSYS")
BOAST = "raise ValueError('TAKEN')"

TAMPERS = {
    "kills a neighbour": Attack(
        hook(OS, "os.kill($victim, 9)", BOAST), *KILLED, LAYERED, "killed"
    ),
    "kills a neighbour by a descriptor of it": Attack(
        ctypes_hook(
            "held = libc.syscall(434, $victim, 0)",
            "libc.syscall(424, held, 9, None, 0)",
            BOAST,
        ),
        *KILLED,
        LAYERED,
        "killed",
    ),
    "stops a neighbour": Attack(
        hook(OS, "os.kill($victim, 19)", BOAST), *KILLED, LAYERED, "stopped"
    ),
    "takes a neighbour's descriptors away": Attack(
        ctypes_hook(
            "limits = (c.c_ulong * 2)(8, 8)",
            "libc.prlimit($victim, 7, limits, None)",
        ),
        "decision",
        "",
        ("seccomp",),
        "limited",
    ),
    "slows a neighbour": Attack(
        hook(OS, "os.setpriority(os.PRIO_PROCESS, $victim, 19)"),
        *KILLED,
        (*PRIVILEGED, "seccomp"),
        "slowed",
    ),
    "moves a neighbour to another core": Attack(
        hook(OS, "os.sched_setaffinity($victim, {min(os.sched_getaffinity(0))})"),
        *KILLED,
        (*PRIVILEGED, "seccomp"),
        "moved",
    ),
    "writes into the judge's memory": Attack(
        ctypes_hook(
            "class Piece(c.Structure):",
            "    _fields_ = (('base', c.c_void_p), ('length', c.c_size_t))",
            "what = c.create_string_buffer(b'tampered')",
            "here, there = Piece(c.addressof(what), 8), Piece($address, 8)",
            "libc.process_vm_writev($keeper, c.byref(here), 1, c.byref(there), 1, 0)",
        ),
        *KILLED,
        PROCESSES,
        "overwritten",
    ),
    "has the judge's modules changed": Attack(
        hook("np.tampered = True", "return waiting.id"),
        "",
        "",
        ("process",),
        "tampered",
    ),
}
