"""Runs a script of ``cache_side`` in the environment that has its package."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

SIDE = Path(__file__).parent / "cache_side"


def needs(variable: str, package: str):
    return pytest.mark.skipif(
        not os.environ.get(variable),
        reason=f"{variable} is not set; expected the Python of an environment with "
        f"{package}, as tests/differential/README.md makes it",
    )


def answer(variable: str, script: str, *arguments: object) -> Any:
    """What the script prints, as JSON."""
    command = [os.environ[variable], str(SIDE / script), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-4000:]
    return json.loads(ended.stdout)
