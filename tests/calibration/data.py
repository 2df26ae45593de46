"""Where tests find public measurements that are no part of the repository."""

import os
from functools import cache
from pathlib import Path

import pytest

from evaluators.calibration.calibration import load


@cache
def calibration(name):
    """The shipped calibration, loaded once: its roofline takes a moment."""
    return load(name)


def data_folder(needed: str) -> Path:
    """The folder named by ``ADRS_DATA``; skips the test unless it holds ``needed``."""
    root = os.environ.get("ADRS_DATA")
    if root is None:
        pytest.skip("ADRS_DATA does not name a folder of public measurements")
    if not (Path(root) / needed).is_dir():
        pytest.skip(f"ADRS_DATA={root} holds no {needed}")
    return Path(root)
