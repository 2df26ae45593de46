"""Serves jobs with vLLM's scheduler: JSON lines in, a JSON line of decisions each out.

    python -m tests.differential.vllm_side.driver JOBS OUT

Runs where vLLM is installed. There is no model: a step takes as long as the scenario's
step time says of what vLLM scheduled, and requests arrive by that clock.
"""

import json
import sys
import tempfile
from pathlib import Path

import vllm

from tests.differential.vllm_side.build import build, write_model
from tests.differential.vllm_side.job import from_json
from tests.differential.vllm_side.session import OverlappedSession, Session

VERSION = "0.32."


def main(jobs: Path, out: Path) -> None:
    """Serve every line of ``jobs``; refuses a vLLM whose rules may be others."""
    if not vllm.__version__.startswith(VERSION):
        raise SystemExit(f"vLLM is {vllm.__version__}; expected {VERSION}x")
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder)
        write_model(model)
        with (
            jobs.open(encoding="utf-8") as lines,
            out.open("w", encoding="utf-8") as log,
        ):
            for line in lines:
                job = from_json(json.loads(line))
                trace = job.scenario.trace
                longest = int((trace.prompt_tokens + trace.output_tokens).max())
                scheduler = build(model, job.scenario.deployment, longest)
                late = job.scenario.deployment.async_scheduling
                steps = (OverlappedSession if late else Session)(scheduler, job).run()
                log.write(json.dumps(steps) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
