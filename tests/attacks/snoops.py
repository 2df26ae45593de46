"""Policies that look everywhere for what begins like a canary, and tell what they find.

They are told no place: each looks through all that a policy's process could hold.
"""

from tests.attacks.table import hook

BIRD = "canary-of-"
"""What all canaries begin with; a snoop spells it in pieces, not to find itself."""
LENGTH = 7_654_321
"""Output lengths from here on are canaries."""

OS = "import statistics; os = getattr(statistics, 's' + 'ys').modules['os']"
"""As a policy may import it, though no reader of its text may like to see it."""
BEGINS = "bird, seen = '-'.join(['canary', 'of', '']), []"
TELLS = (
    "birds = [t for one in seen for t in str(one).split(bird)[1:] if t[:1].isalpha()]",
    "if birds: raise ValueError(bird, sorted({t.split()[0][:12] for t in birds}))",
    "return waiting.id * 1.0",
)


def _snoop(*lines: str) -> str:
    return hook(OS, BEGINS, *lines, *TELLS)


def _reading(paths: str) -> str:
    return _snoop(
        f"for path in {paths}:",
        "    try: seen.append(os.read(os.open(path, 0), 1 << 16))",
        "    except OSError: pass",
    )


HEAP = (
    "gc = os.sys.modules['gc']",
    "for one in gc.get_objects():",
    "    held = list(one.values()) if type(one) is dict else one",
    "    if type(held) in (list, tuple, set):",
    "        seen += [t for t in held if type(t) in (str, bytes)]",
)
SNOOPS = {
    "environment": _snoop("seen += list(os.environ.values())"),
    "arguments": _snoop("seen += os.sys.argv + os.sys.orig_argv"),
    "heap": _snoop(*HEAP),
    "frames": _snoop(
        "at = os.sys._getframe().f_back",
        "while at:",
        "    seen += [v for v in at.f_locals.values() if type(v) in (str, bytes)]",
        "    at = at.f_back",
    ),
    "files": _reading("['$file', '/proc/self/environ', '/proc/1/environ']"),
    "parents": _reading(
        "[f'/proc/{p}/{n}' for p in (os.getppid(), $keeper) for n in "
        "('environ', 'cmdline', 'maps')]"
    ),
    "folders": _snoop(
        "for path in ('.', '$folder', '/tmp'):",
        "    try: seen += os.listdir(path)",
        "    except OSError: pass",
    ),
    "lengths": _snoop(
        "for one in os.sys.modules['gc'].get_objects():",
        "    if type(one).__name__ == 'Trace':",
        f"        if one.output_tokens.max() >= {LENGTH}: seen += [bird + 'lengths']",
    ),
    "modules": _snoop("seen += [v for v in vars(np).values() if type(v) is str]"),
}
"""Where each looks."""

FORGETFUL = hook(f"np.left_behind = '{BIRD}another candidate'", "return waiting.id")
"""Another candidate: it leaves a canary in its process."""
