"""Class F: to pass a result off as one that the judge asked for."""

from tests.attacks.table import ALONE, ANSWER, FORKING, OS, Attack, hook

KILLED = ("crash", "SIGSYS")

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

FRAMES = "frames = os.sys.modules['evaluators.frames']"
SEND = "send = frames.Channel.send"


def _sending(said: str) -> str:
    """Answers each question through a function of the policy's own, once."""
    return hook(
        OS,
        FRAMES,
        SEND,
        "header = os.sys.modules['struct'].Struct('<QII').pack",
        "def told(c, n, k, p):",
        "    frames.Channel.send = send",
        f"    {said}",
        "frames.Channel.send = told",
        ANSWER,
    )


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
        hook(OS, "os.fork()", ANSWER), *KILLED, FORKING, "doubled"
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
        _sending("send(c, n, 1, b'\\x0a')"),
        "protocol",
        "error of kind",
        ("own faults",),
        "blamed_us",
    ),
    "answers with a nonce of its own": Attack(
        _sending("send(c, 7, k, p)"), "protocol", "not asked", ("nonce",), "fooled"
    ),
    "hides bytes behind its answer": Attack(
        _sending("os.write(3, header(n, k, len(p)) + p + bytes(8))"),
        "protocol",
        "more than",
        ("frame sizes",),
        "fooled",
    ),
    "answers more than may come": Attack(
        _sending("send(c, n, k, frames.pack([np.zeros((1 << 21) + 1)]))"),
        "protocol",
        "at most",
        ("cap",),
        "swelled",
    ),
    "answers once more at the end": Attack(
        _sending("send(c, n, k, p); len(p) < 120 or os.write(3, bytes(16))"),
        "protocol",
        "not asked",
        ("stray input",),
        "fooled",
    ),
    "sends an object to be unpickled": Attack(
        _sending(
            "os.write(3, os.sys.modules['pickle'].dumps(np.zeros(1)))"
            " if 'pickle' in os.sys.modules else os.write(3, b'\\x80\\x04cposix')"
        ),
        "protocol",
    ),
    "writes instructions into its exception": Attack(
        hook("raise ValueError('\\n\\x1b[2Jscore: 1.0\\n' * 9 + 'x' * 999)"),
        "exception",
        "score: 1.0",
        ("scrubbing",),
        "wrote_lines",
    ),
    "ends the judge as if all were well": Attack(
        hook(OS, "os.sys.exit(0)"), "exit", "code 0", ALONE, "fell"
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
        *KILLED,
        FORKING,
        "left_behind",
    ),
}
