"""The command line as it is typed, in small; and what it leaves on the machine."""

import functools
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from tests.attacks.table import hook

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
for name in ("ADRS_DATA", "OPENAI_BASE_URL"):
    ENVIRONMENT.pop(name, None)
SMALL = (
    "problem.n_requests=60",
    "problem.train_seeds=1",
    "problem.validation_seeds=2",
)
SHORT = (*SMALL, "problem.regimes=[0.8,1.2]", "contenders=2", "tracking=off")


def words(*typed):
    return [sys.executable, "-m", "adrs.main", *typed]


def adrs(*typed, cwd, environment=ENVIRONMENT, **options):
    return subprocess.run(
        words(*typed),
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )


def evolve(*typed, cwd, **options):
    return adrs("evolve", *SHORT, *typed, cwd=cwd, **options)


def records(journal):
    return [json.loads(line) for line in journal.read_text().splitlines()]


def failures(journal):
    """Kind of failure, or None, of every trial after the seeds."""
    trials = [r for r in records(journal) if r["record"] == "trial" and r["round"]]
    return [
        next((o["failure"][0] for o in trial["outcomes"] if "failure" in o), None)
        for trial in trials
    ]


def reply(source):
    """A model's reply that holds a policy."""
    return f"An idea.\n\n```python\n{source}```\n"


def good(factor):
    """A policy that is as good as it gets here, and like no other of its kind."""
    return hook(f"return waiting.prompt_tokens + {factor} * waiting.arrived_s")


def is_one_line(said):
    return said.count("\n") == 1 and "Traceback" not in said


def limited(n_bytes):
    """What makes a process see a disk that is full at so many bytes a file."""
    limits = (n_bytes, n_bytes)
    return functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
