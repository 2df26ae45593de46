"""Serving runs of vLLM with LoRA adapters (BSC): summaries whose workload is unknown.

A CSV file of columns run, adapter_rates, max_loras and others. Which request goes to
which adapter, and the lengths that ShareGPT gave, were not written down, and adapters
cost time that no calibration here holds, so every run is left out.
"""

from pathlib import Path

from evaluators.serving_runs.measured import Found, LeftOut
from evaluators.serving_runs.readers.files import header, is_named, table

COLUMNS = {"run", "model", "adapter_rates", "max_loras", "mean_ttft_ms"}
WHY = "lengths and adapters of its requests were not written down"


def recognises(path: Path) -> bool:
    """Whether this is a CSV file of such columns."""
    return is_named(path, ".csv") and header(path) >= COLUMNS


def read(path: Path) -> Found:
    """No run, and why."""
    return Found((), tuple(LeftOut(row["run"], WHY) for row in table(path)))
