"""What a soak judges: honest policies, no two alike, and hostile ones among them."""

import random
from typing import NamedTuple

from evaluators.confine import LAYERS
from tests.attacks.cross import CROSSES
from tests.attacks.forge import LIES
from tests.attacks.peek import PEEKS
from tests.attacks.resources import ENDS, FLOODS, GRABS, HANGS
from tests.attacks.table import ALONE, ANSWER, OS, SPIN, Attack, ctypes_hook, hook
from tests.attacks.tamper import TAMPERS

HOSTILE_SHARE = 0.05
SIGNALS = "signal = os.sys.modules['signal']"
SIMPLE = {
    "spins": Attack(hook(SPIN), "cpu_limit"),
    "grows": Attack(
        hook("kept = []", "while True: kept += [[0] * 999]"), "memory_limit"
    ),
    "exits": Attack(hook(OS, "os._exit(7)"), "exit", "code 7"),
    "crashes": Attack(ctypes_hook("c.string_at(8)"), "crash", "SIGSEGV"),
    "sends garbage": Attack(
        hook(OS, "[os.write(3, np.random.bytes(99)) for _ in range(9)]", ANSWER),
        "protocol",
    ),
    "forks for ever": Attack(hook(OS, "while True: os.fork()"), "crash", "SIGSYS"),
    "hides from every signal and spins": Attack(
        hook(
            OS,
            SIGNALS,
            "for number in signal.valid_signals() - {9, 19, 32, 33}:",
            "    try: signal.signal(number, signal.SIG_IGN)",
            "    except (OSError, ValueError): pass",
            "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
            SPIN,
        ),
        "cpu_limit",
    ),
    "wants to outlive the process above it": Attack(
        ctypes_hook("libc.prctl(1, 0, 0, 0, 0)", SPIN), "crash", "SIGSYS"
    ),
    "prints megabytes": Attack(hook("print('x' * (1 << 24))", ANSWER), "exception"),
    # Of one of 8 MB, malloc would keep as much for the next: flat, but not to 5 %.
    "answers with a megabyte": Attack(hook("return np.zeros(1 << 17)"), "decision"),
}
"""What a model writes by mistake, rather than what an attacker tries."""

ATTACKS = {
    name: one
    for group in (PEEKS, TAMPERS, LIES, HANGS, ENDS, FLOODS, GRABS, CROSSES)
    for name, one in group.items()
    # The others need an exam, limits or a check of their own.
    if one.kind and not one.on and {*LAYERS, *ALONE}.issuperset(one.guards)
}
HOSTILE = {**ATTACKS, **{f"simply {name}": one for name, one in SIMPLE.items()}}

RULES = (
    "waiting.prompt_tokens - {n} * (engine.now_s - waiting.arrived_s)",
    "waiting.arrived_s * {n} + waiting.prompt_tokens",
    "np.maximum(waiting.prompt_tokens, {n}) - waiting.arrived_s",
    "np.abs(waiting.prompt_tokens - {n} / 9)",
)
HONEST = """
import numpy as np


class Rule{n}:
    def admit_key(self, waiting, engine):
        return {rule}

    def token_budget(self, engine):
        return 64 + {n}
"""


class Candidate(NamedTuple):
    """A policy's text; its attack and that one's name if it is hostile."""

    source: str
    name: str = "honest"
    attack: Attack | None = None


def honest(number: int) -> Candidate:
    """The rule of that number: its log of decisions is that of no other."""
    rule = RULES[number % len(RULES)].format(n=number)
    return Candidate(HONEST.format(n=number, rule=rule))


def drawn(n_candidates: int, seed: int, armed) -> list[Candidate]:
    """So many candidates in random order; ``armed`` fills in what attacks are after."""
    names = sorted(HOSTILE)
    n_hostile = round(HOSTILE_SHARE * n_candidates)
    attacks = [names[i % len(names)] for i in range(n_hostile)]
    made = [honest(number) for number in range(n_candidates - n_hostile)]
    made += [Candidate(armed(HOSTILE[n].source), n, HOSTILE[n]) for n in attacks]
    random.Random(seed).shuffle(made)
    return made
