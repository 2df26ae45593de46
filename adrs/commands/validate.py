"""Replay measured serving runs and print how near the simulator comes to them."""

import json
from pathlib import Path
from typing import Protocol

from adrs.terminal import note, say
from adrs.whole_file import write_whole
from evaluators.serving_runs.calibrated import finding
from evaluators.serving_runs.report import markdown, summary
from evaluators.serving_runs.validation import PUBLIC, validated
from evaluators.workloads.replay import data_folder


class ValidateSettings(Protocol):
    """What this command reads of the configuration."""

    runs: str | None
    data: str | None
    compose: bool
    output: str | None
    format: str


def run(settings: ValidateSettings) -> int:
    """Print the error table, the targets and the rankings, as Markdown or as JSON.

    Raises ``ValueError`` or ``OSError`` with one line when there is nothing to replay
    or the file cannot be written.
    """
    data = Path(settings.data).expanduser() if settings.data else data_folder()
    place = Path(settings.runs).expanduser() if settings.runs else data / PUBLIC
    found = validated(place, finding(data if settings.compose else None), data)
    text = markdown(found)
    if settings.format == "json":
        text = json.dumps(summary(found), indent=2)
    say(text)
    if settings.output:
        path = Path(settings.output).expanduser()
        write_whole(path, f"{text}\n")
        note(f"written to {path}")
    return 0
