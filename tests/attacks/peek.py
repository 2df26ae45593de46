"""Class P: to see what a policy is not shown."""

from tests.attacks.table import (
    ALONE,
    ANSWER,
    LAYERED,
    OS,
    PROCESSES,
    REFUSED,
    Attack,
    ctypes_hook,
    hook,
)

TELLS = "raise ValueError(found)"


def _reads(path: str) -> str:
    return hook(
        OS,
        f"found = os.read(os.open(f'{path}', 0), 4096)[-200:]",
        TELLS,
    )


PEEKS = {
    "opens a file": Attack(_reads("$file"), *REFUSED, LAYERED),
    "opens a file with Python's own function": Attack(
        hook(OS, "found = os.sys.modules['io'].open('$file').read()", TELLS),
        *REFUSED,
        LAYERED,
    ),
    "maps a file": Attack(
        hook("found = bytes(np.memmap('$file', mode='r'))", TELLS), *REFUSED, LAYERED
    ),
    "loads text with numpy": Attack(
        hook("found = np.loadtxt('$file', dtype=str)", TELLS),
        "exception",
        "",
        LAYERED,
    ),
    "lists a folder": Attack(
        hook(OS, "found = sorted(os.listdir('$folder'))", TELLS), *REFUSED, LAYERED
    ),
    "imports a module that lies about": Attack(
        hook(
            OS,
            "os.sys.path.insert(0, '$folder')",
            "found = os.sys.modules['importlib'].import_module('$module').found",
            TELLS,
        ),
        "exception",
        "ModuleNotFoundError",
        LAYERED,
    ),
    "reads another's environment": Attack(
        _reads("/proc/$victim/environ"), *REFUSED, PROCESSES
    ),
    "reads the judge's memory from a file": Attack(
        hook(
            OS,
            "memory = os.open('/proc/$keeper/mem', 0)",
            "found = os.pread(memory, 16, $address)",
            TELLS,
        ),
        *REFUSED,
        PROCESSES,
    ),
    "reads the judge's memory by a system call": Attack(
        ctypes_hook(
            "class Piece(c.Structure):",
            "    _fields_ = (('base', c.c_void_p), ('length', c.c_size_t))",
            "into = c.create_string_buffer(16)",
            "here, there = Piece(c.addressof(into), 16), Piece($address, 16)",
            "libc.process_vm_readv($keeper, c.byref(here), 1, c.byref(there), 1, 0)",
            "found = into.raw",
            TELLS,
        ),
        "crash",
        "SIGSYS",
        PROCESSES,
    ),
    "traces the judge": Attack(
        ctypes_hook(
            "arguments = [c.c_long(n) for n in (0x4206, $victim, 0, 0)]",
            "if libc.ptrace(*arguments) == 0: raise ValueError('TAKEN')",
        ),
        "crash",
        "SIGSYS",
        PROCESSES,
        "boasted",
    ),
    "finds the judge's socket among its descriptors": Attack(
        hook(
            OS,
            "codes = set()",
            "for number in range(4, 1000):",
            "    try: os.lseek(number, 0, 1)",
            "    except OSError as error: codes.add(error.errno)",
            "raise ValueError('TAKEN' if 29 in codes else 'nothing')",
        ),
        "exception",
        "nothing",
        ("descriptors",),
        "boasted",
    ),
    "reads how busy another process is": Attack(
        hook(
            OS,
            "seconds = os.sys.modules['time'].clock_gettime((~$victim << 3) | 2)",
            "raise ValueError('TAKEN')",
        ),
        *REFUSED,
        ("seccomp",),
        "boasted",
    ),
    "asks for the cores of another process": Attack(
        hook(OS, "os.sched_getaffinity($victim)", "raise ValueError('TAKEN')"),
        *REFUSED,
        ("seccomp",),
        "boasted",
    ),
    "looks for the trace on the heap": Attack(
        hook(
            OS,
            "kinds = map(type, os.sys.modules['gc'].get_objects())",
            "traces = [kind for kind in kinds if kind.__name__ == 'Trace']",
            "raise ValueError('TAKEN' if traces else 'nothing')",
        ),
        "exception",
        "nothing",
        ALONE,
        "boasted",
    ),
    "climbs the frames to the scenario": Attack(
        hook(
            OS,
            "at, names = os.sys._getframe(), set()",
            "while at: names |= set(at.f_locals); at = at.f_back",
            "raise ValueError('TAKEN' if 'scenario' in names else 'nothing')",
        ),
        "exception",
        "nothing",
        ALONE,
        "boasted",
    ),
    "looks for the judge among the modules": Attack(
        hook(
            OS,
            "held = {'evaluators.sim.engine', 'adrs.sandbox'} & set(os.sys.modules)",
            "raise ValueError('TAKEN' if held else 'nothing')",
        ),
        "exception",
        "nothing",
        ALONE,
        "boasted",
    ),
    "reads another's command line": Attack(
        _reads("/proc/$victim/cmdline"), *REFUSED, LAYERED
    ),
    "asks where another works": Attack(
        hook(OS, "found = os.readlink('/proc/$victim/cwd')", TELLS),
        *REFUSED,
        PROCESSES,
    ),
    "reads what it was started with": Attack(
        hook(OS, "raise ValueError(os.sys.argv[-1])"), "exception", "", ALONE
    ),
    "reads the environment": Attack(
        hook(OS, "raise ValueError(os.environ['ADRS_PREY'])"),
        "exception",
        "KeyError",
        ALONE,
    ),
    "reads the judge's memory by its address": Attack(
        ctypes_hook("found = c.string_at($address, 16)", TELLS),
        "crash",
        "SIGSEGV",
        ALONE,
    ),
    "foresees the judge's draws": Attack(
        hook("raise ValueError(np.random.get_state()[1][0])"),
        "exception",
        "",
        ALONE,
        "foresaw",
    ),
    "reads a length that is hidden": Attack(
        hook(
            OS,
            "for one in os.sys.modules['gc'].get_objects():",
            "    if type(one).__name__ == 'Trace' and len(one.output_tokens) == 12:",
            "        raise ValueError(one.output_tokens.tolist())",
            ANSWER,
        ),
        "",
        "",
        ALONE,
        "knew_lengths",
    ),
    "reads who comes next": Attack(
        hook(
            OS,
            "at = os.sys._getframe()",
            "while at and 'scenario' not in at.f_locals: at = at.f_back",
            "if at: raise ValueError(at.f_locals['scenario'].trace.arrived_ps[-1])",
            ANSWER,
        ),
        "",
        "",
        ALONE,
        "knew_arrivals",
    ),
    "reads the order of arrival off an id": Attack(
        hook(
            "if waiting.id.max() < 1000: raise ValueError('TAKEN')",
            ANSWER,
        ),
        "",
        "",
        ("opaque ids",),
        "boasted",
        on="scheduling",
    ),
}
