"""Class T: to change what is not the policy's own."""

from tests.attacks.table import (
    ALONE,
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


def counting(number: str) -> str:
    return (
        f"class Attack:\n    def token_budget(self, engine):\n        return {number}\n"
    )


def planning(plan: str) -> str:
    return (
        "import numpy as np\n\nclass Attack:\n"
        f"    def schedule(self, waiting, running, engine):\n        return {plan}\n"
    )


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
        hook("np.tampered = True", "return waiting.id"), "", "", ALONE, "tampered"
    ),
    "has the judge's arithmetic changed": Attack(
        hook(OS, "os.sys.modules['math'].inf = 0.0", "return waiting.id"),
        "",
        "",
        ALONE,
        "miscounted",
    ),
    "seeds the judge's generator": Attack(
        hook("np.random.seed(12345)", "return waiting.id"), "", "", ALONE, "reseeded"
    ),
    "watches what the judge calls": Attack(
        hook(OS, "os.sys.setprofile(lambda *given: None)", "return waiting.id"),
        "",
        "",
        ALONE,
        "profiled",
    ),
    "speaks in the judge's place": Attack(
        hook(OS, "os.sys.stdout = self", "return waiting.id"), "", "", ALONE, "muted"
    ),
    "takes the judge's signals": Attack(
        hook(
            OS,
            "signal = os.sys.modules['signal']",
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
            "return waiting.id",
        ),
        "",
        "",
        ALONE,
        "deafened",
    ),
    "patches how outcomes are made": Attack(
        hook(
            OS,
            "at = os.sys._getframe()",
            "while at and 'Outcome' not in at.f_globals: at = at.f_back",
            "told = at.f_globals if at else {}",
            "made = told.get('Outcome')",
            "told['Outcome'] = lambda n, load, score, *more: made(n, load, 1.0, *more)",
            "return waiting.id",
        ),
        "",
        "",
        ALONE,
        "perfect",
        times=2,
    ),
    "answers with an object of its own": Attack(
        hook(
            "return Lie(len(waiting))",
            head=(
                "class Lie(list):\n    def __init__(self, n):\n        self.n = n\n"
                "    def __array__(self, *given, **named):\n"
                "        np.tampered = True\n        return np.arange(float(self.n))"
            ),
        ),
        "",
        "",
        ALONE,
        "tampered",
    ),
    "has attributes that do something": Attack(
        hook("return waiting.id").replace(
            "    def admit_key",
            "    @property\n    def ask(self):\n        np.tampered = True\n"
            "        return 'event'\n\n    def admit_key",
        ),
        "",
        "",
        ALONE,
        "tampered",
    ),
    "has the judge read its exception": Attack(
        hook(
            "raise Lie",
            head=(
                "class Lie(Exception):\n    def __str__(self):\n"
                "        np.tampered = True\n        return 'told'"
            ),
        ),
        "exception",
        "told",
        ALONE,
        "tampered",
    ),
    "answers what is no number": Attack(
        hook("return waiting.id * np.nan"), "decision", "nan", ("keys",), "poisoned"
    ),
    "answers for some only": Attack(
        hook("return [1.0]"), "decision", "shape", ("keys",), "fooled"
    ),
    "wants less than nothing": Attack(
        counting("-7"), "decision", "0 or more", ("counts",), "fooled"
    ),
    "wants more than can be counted": Attack(
        counting("2.0**70"), "decision", "0 or more", ("counts",), "fooled"
    ),
    "counts with several numbers": Attack(
        counting("[5, 6]"), "decision", "one number", ("counts",), "fooled"
    ),
    "grants less than nothing": Attack(
        planning("np.full(len(waiting), -9), np.ones(len(running))"),
        "decision",
        "0 or more",
        ("grants",),
        "fooled",
    ),
    "grants more than can be counted": Attack(
        planning("np.full(len(waiting), 2.0**40), np.ones(len(running))"),
        "decision",
        "0 or more",
        ("grants",),
        "fooled",
    ),
    "takes more from a request than it has": Attack(
        planning("np.ones(len(waiting)), np.full(len(running), -100)"),
        "decision",
        "-3 or more",
        ("grants",),
        "fooled",
    ),
}
