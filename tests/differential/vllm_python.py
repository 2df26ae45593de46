"""Runs a module of ``vllm_side`` in the environment that has vLLM."""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = os.environ.get("ADRS_VLLM_PYTHON", "")
OFFLINE = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}

needs_vllm = pytest.mark.skipif(
    not PYTHON,
    reason="ADRS_VLLM_PYTHON is not set; expected the Python of an environment with "
    "vLLM 0.32, as tests/differential/README.md makes it",
)


def answers(module: str, jobs: Iterable[Any], folder: Path) -> list[Any]:
    """What the module says to each job, from one process."""
    asked, said = folder / "jobs.jsonl", folder / "answers.jsonl"
    asked.write_text("".join(json.dumps(job) + "\n" for job in jobs))
    ended = subprocess.run(
        [PYTHON, "-m", f"tests.differential.vllm_side.{module}", asked, said],
        cwd=ROOT,
        env=os.environ | OFFLINE | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    return [json.loads(line) for line in said.read_text().splitlines()]
