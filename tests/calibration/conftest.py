from importlib.resources import files

import pytest


@pytest.fixture
def shipped_text():
    folder = files("evaluators.calibration") / "data"
    return lambda name: (folder / f"{name}.json").read_text(encoding="utf-8")
