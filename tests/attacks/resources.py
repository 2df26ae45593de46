"""Class R: to take more than a policy may, or to end without an answer."""

from dataclasses import replace

from tests.attacks.table import (
    ALONE,
    ANSWER,
    FORKING,
    HURRIED,
    IMPATIENT,
    LAYERED,
    OS,
    SPIN,
    Attack,
    constructor,
    ctypes_hook,
    hook,
)

KILLED = ("crash", "SIGSYS")
BOAST = "raise ValueError('TAKEN')"
TIME = "time = os.sys.modules['time']"
SPIN_SOME = "while time.process_time() < 0.6: pass"
FELLING = ("", ALONE, "fell", HURRIED)


def _crash(*lines: str, how: str = "SIGSEGV") -> Attack:
    return Attack(hook(*lines), "crash", how, ALONE, "fell")


HANGS = {
    "hangs in a hook": Attack(hook(SPIN), "cpu_limit", *FELLING),
    "hangs in its constructor": Attack(constructor(SPIN), "cpu_limit", *FELLING),
    "hangs at import": Attack(hook(ANSWER, head=SPIN), "cpu_limit", *FELLING),
    "hangs in C": Attack(hook("sum(range(10**12))"), "cpu_limit", *FELLING),
    "hangs in one huge number": Attack(
        hook("10**10**9", ANSWER), "cpu_limit", *FELLING
    ),
    "hangs in the text of its exception": Attack(
        hook(
            "raise Slow",
            head=f"class Slow(Exception):\n    def __str__(self):\n        {SPIN}",
        ),
        "cpu_limit",
        *FELLING,
    ),
    "hides from the signal of its CPU limit": Attack(
        hook(
            OS,
            "signal = os.sys.modules['signal']",
            "signal.signal(signal.SIGXCPU, signal.SIG_IGN)",
            SPIN,
        ),
        "cpu_limit",
        *FELLING,
    ),
    "sleeps": Attack(
        hook(OS, "os.sys.modules['time'].sleep(600)"),
        "wall_limit",
        "",
        ALONE,
        "fell",
        IMPATIENT,
    ),
    "takes more CPU time than it may": Attack(
        hook(OS, TIME, SPIN_SOME, BOAST),
        "cpu_limit",
        "",
        ("CPU time",),
        "boasted",
        HURRIED,
    ),
    "takes more CPU time than it may before it is asked": Attack(
        hook(BOAST, head=f"{OS}\n{TIME}\n{SPIN_SOME}"),
        "cpu_limit",
        "",
        ("CPU time",),
        "boasted",
        HURRIED,
    ),
    "takes its CPU time in small bites": Attack(
        hook(
            OS,
            TIME,
            "end_s = time.process_time() + 0.04",
            "while time.process_time() < end_s: pass",
            ANSWER,
        ),
        "cpu_limit",
        "",
        ("CPU time",),
        "fooled",
        HURRIED,
    ),
    "thinks too long about one question": Attack(
        hook(OS, TIME, SPIN_SOME, BOAST),
        "cpu_limit",
        "on one question",
        ("time of a question",),
        "boasted",
        replace(HURRIED, cpu_s=5, question_cpu_s=0.1),
    ),
    "keeps the judge waiting": Attack(
        hook(OS, TIME, "time.sleep(0.6)", BOAST),
        "wall_limit",
        "",
        ("wall time",),
        "boasted",
        IMPATIENT,
    ),
    "keeps the judge waiting a little each time": Attack(
        hook(OS, TIME, "time.sleep(0.05)", ANSWER),
        "wall_limit",
        "",
        ("wall time",),
        "fooled",
        IMPATIENT,
    ),
}

ENDS = {
    "reads far outside its memory": _crash(
        "far = np.lib.stride_tricks.as_strided(np.zeros(1), (1 << 40,), (8,))",
        "return far[1 << 39]",
    ),
    "writes far outside its memory": _crash(
        "far = np.lib.stride_tricks.as_strided(np.zeros(1), (1 << 40,), (8,))",
        "far[1 << 39] = 1.0",
    ),
    "reads address 0 through ctypes": _crash("np.ctypeslib.ctypes.string_at(0)"),
    "reaches ctypes through sys.modules": _crash(
        OS, "os.sys.modules['ctypes'].string_at(0)"
    ),
    "aborts": _crash(OS, "os.abort()", how="SIGSYS"),
    "stops itself": _crash(OS, "os.kill(os.getpid(), 19)", how="SIGSYS"),
    "raises SystemExit": Attack(
        hook("raise SystemExit(3)"), "exit", "code 3", ALONE, "fell"
    ),
    "exits at import": Attack(
        hook(ANSWER, head="raise SystemExit"), "exit", "", ALONE, "fell"
    ),
    "exits without a word": Attack(
        hook(OS, "os._exit(0)"), "exit", "code 0", ALONE, "fell"
    ),
    "raises what nobody catches": Attack(
        hook("raise KeyboardInterrupt"), "exit", "", ALONE, "fell"
    ),
    "closes its connection": Attack(hook(OS, "os.close(3)"), *KILLED),
    "closes its connection and goes on": Attack(
        hook(OS, "os.close(3)", SPIN), *KILLED, ALONE, "fell", HURRIED
    ),
    "kills the process above it": Attack(
        hook(OS, "os.kill(os.getppid(), 9)", SPIN),
        *KILLED,
        LAYERED,
        "orphaned",
    ),
}

FLOODS = {
    "eats memory in one bite": Attack(hook("np.ones(1 << 40)"), "memory_limit"),
    "eats memory in numpy": Attack(
        hook("kept = []", "while True: kept.append(np.ones(1 << 20))"), "memory_limit"
    ),
    "eats memory in objects": Attack(
        hook("kept = []", "while True: kept.append(bytearray(1000))"), "memory_limit"
    ),
    "eats memory in its constructor": Attack(
        constructor("self.kept = bytearray(1 << 40)"), "memory_limit"
    ),
    "prints without end": Attack(hook("while True: print('x' * 999)"), "exception"),
    "writes a file": Attack(
        hook(OS, "os.write(os.open('/tmp/adrs-attack', 66), b'x')"), "exception"
    ),
    "recurses without end": Attack(
        hook("return f(f)", head="def f(g): return g(g)"), "exception", "Recursion"
    ),
    "answers with far too many numbers": Attack(
        hook("return np.zeros(1 << 22)"), "decision", "shape"
    ),
}

GRABS = {
    "takes more memory than its limit": Attack(
        hook("kept = np.empty(1 << 25)", BOAST),
        "memory_limit",
        "",
        ("limits",),
        "boasted",
    ),
    "takes many descriptors": Attack(
        ctypes_hook("[libc.dup(0) for _ in range(100)]", BOAST),
        *KILLED,
        ("seccomp",),
        "boasted",
    ),
    "forks": Attack(
        hook(
            OS,
            "children = [os.fork() for _ in range(1)]",
            "if not all(children): os._exit(0)",
            "os.waitpid(children[0], 0)",
            BOAST,
        ),
        *KILLED,
        FORKING,
        "boasted",
    ),
    "starts a thread": Attack(
        hook(
            OS,
            "thread = os.sys.modules['_thread']",
            "done = thread.allocate_lock(); done.acquire()",
            "thread.start_new_thread(done.release, ())",
            "done.acquire()",
            BOAST,
        ),
        *KILLED,
        FORKING,
        "boasted",
    ),
    "becomes another program": Attack(
        hook(OS, "os.execv('/bin/sh', ['sh', '-c', 'exit 77'])"),
        *KILLED,
        LAYERED,
        "became_another",
    ),
    "fills memory that no limit of its own counts": Attack(
        hook(
            OS,
            "held = os.memfd_create('x')",
            "os.write(held, bytes(1 << 20))",
            BOAST,
        ),
        *KILLED,
        ("seccomp", "limits"),
        "boasted",
    ),
    "fills pipes that no limit counts": Attack(
        hook(OS, "[os.write(os.pipe()[1], bytes(65536)) for _ in range(2)]", BOAST),
        *KILLED,
        ("seccomp",),
        "boasted",
    ),
    "makes code to run": Attack(
        ctypes_hook(
            "libc.mmap.restype = c.c_void_p",
            "page = libc.mmap(None, 4096, 7, 0x22, -1, 0)",
            "if page != c.c_void_p(-1).value: raise ValueError('TAKEN')",
        ),
        "decision",
        "",
        ("seccomp",),
        "boasted",
    ),
    "raises its own limits": Attack(
        ctypes_hook(
            "limits = (c.c_ulong * 2)(1 << 40, 1 << 40)",
            "if libc.prlimit(0, 9, limits, None) == 0: raise ValueError('TAKEN')",
        ),
        "decision",
        "",
        ("limits", "seccomp"),
        "boasted",
    ),
    "maps more shared memory than its limit": Attack(
        hook(
            OS,
            "held = os.sys.modules['mmap'].mmap(-1, 1 << 28)",
            "held[::4096] = bytes(1 << 16)",
            BOAST,
        ),
        "exception",
        "OSError",
        ("limits",),
        "boasted",
    ),
    "opens more than it may": Attack(
        hook(OS, "[os.open('/dev/null', 0) for _ in range(100)]", BOAST),
        "exception",
        "",
        ("limits", *LAYERED),
        "boasted",
    ),
    "watches files": Attack(
        ctypes_hook("if libc.inotify_init() > 0: raise ValueError('TAKEN')"),
        *KILLED,
        ("seccomp",),
        "boasted",
    ),
}
