"""Hostile and broken policies, one a kind, with the failure that each must end in."""

from typing import NamedTuple

OS = "import statistics; os = statistics.sys.modules['os']"
"""The list of imports is no boundary: what may be imported hands out what may not."""


class Attack(NamedTuple):
    """A policy's source and the kind of failure expected of it."""

    source: str
    kind: str
    says: str = ""


def hook(*lines: str, head: str = "") -> str:
    """A policy whose admit_key runs ``lines``."""
    body = "\n        ".join(lines)
    return (
        f"import numpy as np\n{head}\n\nclass Attack:\n"
        f"    def admit_key(self, waiting, engine):\n        {body}\n"
    )


def constructor(*lines: str) -> str:
    """A policy whose constructor runs ``lines``."""
    body = "\n        ".join(lines)
    return (
        "import numpy as np\n\nclass Attack:\n"
        f"    def __init__(self):\n        {body}\n"
        "    def admit_key(self, waiting, engine):\n        return waiting.id\n"
    )


SPIN = "while True: pass"
ANSWER = "return waiting.prompt_tokens * 1.0"

HANGS = {
    "hangs in a hook": Attack(hook(SPIN), "cpu_limit"),
    "hangs in its constructor": Attack(constructor(SPIN), "cpu_limit"),
    "hangs at import": Attack(hook(ANSWER, head=SPIN), "cpu_limit"),
    "hangs in C": Attack(hook("sum(range(10**12))"), "cpu_limit"),
    "hides from the signal of its CPU limit": Attack(
        hook(
            OS,
            "signal = os.sys.modules['signal']",
            "signal.signal(signal.SIGXCPU, signal.SIG_IGN)",
            SPIN,
        ),
        "cpu_limit",
    ),
    "sleeps": Attack(
        hook(OS, "os.sys.modules['time'].sleep(600)"),
        "wall_limit",
    ),
}

ENDS = {
    "reads far outside its memory": Attack(
        hook(
            "far = np.lib.stride_tricks.as_strided(np.zeros(1), (1 << 40,), (8,))",
            "return far[1 << 39]",
        ),
        "crash",
        "SIGSEGV",
    ),
    "reads address 0 through ctypes": Attack(
        hook("np.ctypeslib.ctypes.string_at(0)"), "crash", "SIGSEGV"
    ),
    "reaches ctypes through sys.modules": Attack(
        hook(OS, "os.sys.modules['ctypes'].string_at(0)"), "crash", "SIGSEGV"
    ),
    "aborts": Attack(hook(OS, "os.abort()"), "crash", "SIGSYS"),
    "stops itself": Attack(hook(OS, "os.kill(os.getpid(), 19)"), "crash", "SIGSYS"),
    "raises SystemExit": Attack(hook("raise SystemExit(3)"), "exit", "code 3"),
    "exits at import": Attack(hook(ANSWER, head="raise SystemExit"), "exit"),
    "exits without a word": Attack(hook(OS, "os._exit(0)"), "exit", "code 0"),
    "raises what nobody catches": Attack(hook("raise KeyboardInterrupt"), "exit"),
    "closes its connection": Attack(hook(OS, "os.close(3)"), "exit"),
    "closes its connection and goes on": Attack(
        hook(OS, "os.close(3)", SPIN), "cpu_limit"
    ),
    "kills the process above it": Attack(
        hook(OS, "os.kill(os.getppid(), 9)", SPIN), "crash", "SIGSYS"
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

FORGED_START = f"""{OS}
at = os.sys._getframe()
while "frame" not in at.f_locals:
    at = at.f_back
frames = os.sys.modules["evaluators.frames"]
channel = frames.Channel(os.sys.modules["socket"].socket(fileno=3), 1 << 20)
few = np.ones(2, dtype=np.int64), np.zeros(3)
channel.send(at.f_locals["frame"].nonce, frames.ANSWER, frames.pack(few))
"""
"""Answers with the right nonce, found in the frames above, before it is asked more."""

LIES = {
    "answers before it is asked": Attack(
        hook(
            OS,
            "struct = os.sys.modules['struct']",
            "os.write(3, struct.pack('<QIIQ4Id', 7, 0, 32, 1, 1, 1, 1, 1, 0.0))",
            ANSWER,
        ),
        "protocol",
        "not asked",
    ),
    "answers twice from a forked process": Attack(
        hook(OS, "os.fork()", ANSWER), "crash", "SIGSYS"
    ),
    "sends a short frame": Attack(hook(OS, "os.write(3, b'abc')", ANSWER), "protocol"),
    "announces more than may come": Attack(
        hook(OS, "os.write(3, b'\\0' * 8 + b'\\0' * 4 + b'\\xff' * 4)", ANSWER),
        "protocol",
        "at most",
    ),
    "sends bytes behind a frame": Attack(
        hook(OS, "os.write(3, bytes(24))", ANSWER), "protocol", "more than"
    ),
    "claims a failure that only we may tell": Attack(
        hook(
            OS,
            "frames = os.sys.modules['evaluators.frames']",
            "send = frames.Channel.send",
            "frames.Channel.send = lambda c, n, k, p: send(c, n, 1, b'\\x0a')",
            ANSWER,
        ),
        "protocol",
        "error of kind",
    ),
    "forges the reply to its start": Attack(
        hook(ANSWER, head=FORGED_START), "protocol", "reply to its start"
    ),
    "leaves a process behind": Attack(
        hook(
            OS,
            "if len(waiting) == 3 and os.fork() == 0:",
            "    os.setsid()",
            "    if os.fork() == 0:",
            "        os.close(3)",
            "        os.sys.modules['time'].sleep(600)",
            "    os._exit(0)",
            ANSWER,
        ),
        "crash",
        "SIGSYS",
    ),
}

NONSENSE = {
    "nan": Attack(hook("return waiting.id * np.nan"), "decision", "nan"),
    "a wrong shape": Attack(hook("return [1.0]"), "decision", "shape"),
    "three dimensions": Attack(hook("return np.ones((1, 1, 1))"), "decision"),
    "a text": Attack(hook("return 'abc'"), "decision", "numbers"),
    "None": Attack(hook("return None"), "decision", "numbers"),
    "a huge integer": Attack(hook("return [10**30] * len(waiting)"), "decision"),
    "a ragged list": Attack(hook("return [[1], [1, 2]]"), "decision", "ragged"),
    "a generator": Attack(hook("return (x for x in waiting.id)"), "decision"),
    "complex numbers": Attack(hook("return waiting.id * 1j"), "decision"),
    "an object that lies about itself": Attack(
        hook(
            "return Lie()",
            head="class Lie:\n    def __array__(self, *a, **k):\n        return self",
        ),
        "decision",
    ),
    "an exception": Attack(hook("1 / 0"), "exception", "line 6: ZeroDivisionError"),
}

TEACHABLE = {
    "a barred import": Attack(
        hook(ANSWER, head="import os"), "source", "import os is not available"
    ),
    "a barred import in a hook": Attack(
        hook("from os import path", ANSWER), "source", "a policy may import numpy"
    ),
    "no Python": Attack("class Attack(:\n", "source", "line 1"),
    "an error at import": Attack("x = 1\ny = x / 0\n", "source", "line 2"),
    "no class": Attack("x = 1\n", "interface", "no class has one of the hooks"),
    "two classes": Attack(
        hook(ANSWER) + hook(ANSWER).replace("Attack", "Second"), "interface", "Second"
    ),
    "a constructor that wants something": Attack(
        constructor(ANSWER).replace("self):", "self, x):"), "interface", "failed"
    ),
    "a constructor that raises": Attack(constructor("1 / 0"), "interface", "line 5"),
    "an ask of nobody's": Attack(
        hook(ANSWER) + "    ask = 'never'\n", "interface", "ask is 'never'"
    ),
}
