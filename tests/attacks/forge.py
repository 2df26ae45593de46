"""Class F: to pass a result off as one that the judge asked for."""

from tests.attacks.table import ANSWER, FORKING, OS, Attack, hook

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
        *KILLED,
        FORKING,
        "left_behind",
    ),
}
