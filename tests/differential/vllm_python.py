"""Runs a module of ``vllm_side`` in the environment that has vLLM."""

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = os.environ.get("ADRS_VLLM_PYTHON", "")
JOBS, ANSWERS = "jobs.jsonl", "answers.jsonl"
OFFLINE = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}

needs_vllm = pytest.mark.skipif(
    not PYTHON,
    reason="ADRS_VLLM_PYTHON is not set; expected the Python of an environment with "
    "vLLM 0.32, as tests/differential/README.md makes it",
)


def answers(
    module: str, jobs: Iterable[Any], folder: Path, **settings: str
) -> list[Any]:
    """What the module says to each job, from one process.

    ``settings`` are further variables of its environment.
    """
    asked, said = folder / JOBS, folder / ANSWERS
    asked.write_text(_lines(jobs), encoding="utf-8")
    ended = subprocess.run(
        [PYTHON, "-m", module, asked, said],
        cwd=ROOT,
        env=os.environ | OFFLINE | settings | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    return _read(said)


def kept_answers(jobs: Sequence[Any], folder: Path) -> list[Any] | None:
    """What these very jobs were answered, if all of it lies in the folder."""
    asked, said = folder / JOBS, folder / ANSWERS
    if not (asked.exists() and said.exists()):
        return None
    answered = _read(said)
    same = asked.read_text(encoding="utf-8") == _lines(jobs)
    return answered if same and len(answered) == len(jobs) else None


def _lines(jobs: Iterable[Any]) -> str:
    return "".join(json.dumps(job) + "\n" for job in jobs)


def _read(said: Path) -> list[Any]:
    lines = said.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
