"""Judge many policies twice, calmly and under fire: python -m tests.soak.soak 300 1.

Arguments: how many candidates, and a seed. The last line said is a JSON object with
what was seen; ``test_soak.py`` holds it against what must be.
"""

import gc
import hashlib
import json
import os
import statistics
import sys
import time
from collections import Counter, deque
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np

from adrs.pool import Pool, cores, in_process
from adrs.sandbox import Limits
from evaluators import problems
from evaluators.problem import Exam
from tests.attacks import prey as laid_out
from tests.attacks import sentinels
from tests.sandbox_problem import exam
from tests.soak.candidates import drawn
from tests.soak.family import descriptors, memory, workers, zygotes
from tests.soak.killer import Killer
from tests.test_pool import tracked
from tests.test_sandbox import below

PROBLEM = problems.load("scheduling")
LIMITS = Limits(cpu_s=0.3, wall_s=15, memory_bytes=1 << 26)
ROWS = 12
AT_ONCE = 24
"""Candidates that are asked for together; as many more wait while these are judged."""

SAMPLES = 100
NEAR = 5
"""So many samples give a median."""

IN_PROCESS = 20
"""Of so many honest candidates one is judged without a pool, too."""

PAUSE_S = 4.0
"""Most that passes between two rounds of kills, besides what they wait for."""

SETTLE_S = 2.0


class Seen:
    """What one pass over the candidates came to; of a fixed size from the start."""

    def __init__(self, n):
        self.digests = np.full((n, 2), 1, dtype="<u8")
        self.kinds = Counter()
        self.faults = []
        self.samples = []
        self.done = 0

    def medians(self, place):
        """Memory near the fifth that is over first and near the end, of one sort."""
        fifth = len(self.samples) // 5
        near = self.samples[fifth - NEAR // 2 :][:NEAR], self.samples[-NEAR:]
        return [
            [round(statistics.median(s[place][i] for s in part), 2) for i in range(3)]
            for part in near
        ]


def judged(pool, candidates, exams):
    """Their evaluations in order, asked for as a campaign asks: some ahead."""
    ahead = deque()
    for at in range(0, len(candidates), AT_ONCE):
        sources = [one.source for one in candidates[at : at + AT_ONCE]]
        ahead.append(pool.evaluate(sources, exams))
        if len(ahead) == 2:
            yield from ahead.popleft()
    for left in ahead:
        yield from left


def digests(outcome):
    """Of every bit that is scored or recorded; and of the log of decisions."""
    metrics = {name: value.hex() for name, value in outcome.metrics.items()}
    plain = replace(outcome, metrics=metrics, score=0, decisions="", log=b"")
    score = outcome.score.hex()
    parts = repr((plain, score)).encode(), outcome.decisions.encode() + outcome.log
    return [int.from_bytes(hashlib.sha256(part).digest()[:8]) for part in parts]


def fault(candidate, evaluation, prey):
    """What is wrong with a verdict, None if nothing is."""
    (outcome,) = evaluation.outcomes
    failure, attack = outcome.failure, candidate.attack
    kind = failure.kind if failure else ""
    said = f"{candidate.name}: {failure}, score {outcome.score}"
    if kind != (attack.kind if attack else "") or (outcome.score > 0) == bool(kind):
        return said
    if attack is None:
        return None
    is_taken = getattr(sentinels, attack.sentinel)(prey, outcome)
    is_other = failure is not None and attack.says not in failure.message
    return said if is_taken or is_other else None


def sample():
    """Memory of this process and of its workers and zygotes, and their descriptors."""
    held = [memory(p) for p in workers(os.getpid()) | zygotes(os.getpid())]
    most = max((descriptors(p) for p in workers(os.getpid())), default=0)
    total = (0.0, 0.0, 0.0)
    for one in filter(None, held):
        total = tuple(a + b for a, b in zip(total, one, strict=True))
    return memory(os.getpid()), total, most, len(held)


def soaked(candidates, exams, prey, killer=None):
    """Judge all candidates with one pool, under fire if there is a killer."""
    seen, n = Seen(len(candidates)), len(candidates)
    with Pool("scheduling", cores(), "strict", LIMITS) as pool, killer or nullcontext():
        verdicts = judged(pool, candidates, exams)
        for candidate, evaluation in zip(candidates, verdicts, strict=True):
            seen.digests[seen.done] = digests(evaluation.outcomes[0])
            seen.kinds[getattr(evaluation.failure, "kind", "scored")] += 1
            if wrong := fault(candidate, evaluation, prey):
                seen.faults.append(f"{seen.done}: {wrong}")
            seen.done += 1
            if killer:
                killer.done = seen.done
            if seen.done * SAMPLES // n > (seen.done - 1) * SAMPLES // n:
                seen.samples.append(sample())
    return seen


def told(title, seen, taken_s):
    """Say and give what came of a pass."""
    driver, others = seen.medians(0), seen.medians(1)
    rate = seen.done / taken_s
    print(f"{title}: {seen.done} in {taken_s:.1f} s, {rate:.0f}/s: {dict(seen.kinds)}")
    print(f"  MB (resident, proportional, anonymous) of the driver {driver}")
    print(f"  of its workers and zygotes {others}", flush=True)
    return {
        "taken_s": taken_s,
        "driver": driver,
        "workers": others,
        "descriptors": [s[2] for s in seen.samples],
        "faults": seen.faults,
        "kinds": seen.kinds,
    }


def standing():
    """Processes below this one, its descriptors and its threads."""
    gc.collect()
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline and tracked(below(os.getpid())):
        time.sleep(0.01)
    threads = len(os.listdir("/proc/self/task"))
    return len(tracked(below(os.getpid()))), descriptors(os.getpid()), threads


def differing(candidates, one, other, is_hostile):
    """Names of candidates of which two passes tell different things."""
    is_other = (one.digests != other.digests).any(axis=1)
    pairs = zip(candidates, is_other, strict=True)
    return [c.name for c, other in pairs if other and bool(c.attack) == is_hostile]


def differing_in_process(candidates, seen, exams):
    """Honest candidates of which a plain run in this process tells something else."""
    wrong = []
    for number, candidate in enumerate(candidates):
        if number % IN_PROCESS or candidate.attack:
            continue
        (alone,) = in_process(PROBLEM, candidate.source, exams).outcomes
        if seen.digests[number][0] != digests(alone)[0]:
            wrong.append(number)
    return wrong


def main(n, seed):
    """Soak, and say what was seen."""
    folder = Path.cwd()
    scenario = exam(ROWS).scenario
    exams = [Exam(scenario, PROBLEM.standard(scenario))]
    with laid_out.prey(folder / "prey") as prey:
        candidates = drawn(n, seed, prey.armed)
        soaked(candidates[:AT_ONCE], exams, prey)  # loads what stays loaded
        before = standing()
        start_s = time.monotonic()
        calm = soaked(candidates, exams, prey)
        found = {"calm": told("calm", calm, time.monotonic() - start_s)}
        killer = Killer(seed, 2 * AT_ONCE, PAUSE_S)
        start_s = time.monotonic()
        hit = soaked(candidates, exams, prey, killer)
        found["hit"] = told("under fire", hit, time.monotonic() - start_s)
        found["killed"] = killer.killed
        print(f"  killed: {dict(killer.killed)}")
        found["standing"] = before, standing()
    found["differing"] = differing(candidates, calm, hit, is_hostile=False)
    found["hostile_differing"] = differing(candidates, calm, hit, is_hostile=True)
    found["differing_in_process"] = differing_in_process(candidates, calm, exams)
    is_honest = [not one.attack for one in candidates]
    found["honest"] = sum(is_honest)
    found["honest_verdicts"] = len(np.unique(calm.digests[is_honest], axis=0))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
