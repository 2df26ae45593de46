"""Serves jobs with the real vLLM engine: JSON lines in, a JSON line of steps each out.

    python -m tests.vllm_cpu.engine_side.driver JOBS OUT

Runs where vLLM is installed, on the last core it may use; all jobs have one deployment.
A timed run goes before every ordinary process, where that is allowed.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
import vllm

from tests.differential.vllm_side.job import from_json
from tests.vllm_cpu.engine_side.live import Live, engine

VERSION = "0.32."
PRIORITY = 10


def main(jobs: Path, out: Path) -> None:
    """Serve every line of ``jobs``; refuses a vLLM whose rules may be others."""
    if not vllm.__version__.startswith(VERSION):
        raise SystemExit(f"vLLM is {vllm.__version__}; expected {VERSION}x")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    asked = [json.loads(line) for line in jobs.read_text("utf-8").splitlines()]
    made = [from_json(one["job"]) for one in asked]
    deployment = made[0].scenario.deployment
    if any(job.scenario.deployment != deployment for job in made):
        raise SystemExit("the jobs have several deployments; expected one for all")
    with (
        tempfile.TemporaryDirectory() as folder,
        out.open("w", encoding="utf-8") as log,
    ):
        core = engine(Path(folder), deployment)
        for job, one in zip(made, asked, strict=True):
            live = Live(core, job.scenario, job.policy)
            with _undisturbed() if one["is_timed"] else nullcontext(False) as is_quiet:
                steps = live.run(one["clock"])
            log.write(json.dumps({"steps": steps, "is_quiet": is_quiet}) + "\n")
            log.flush()


@contextmanager
def _undisturbed() -> Iterator[bool]:
    """Go before every ordinary process; says whether that was allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
