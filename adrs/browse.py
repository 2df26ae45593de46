"""Where the MLflow leaderboard is and what it shows; no mlflow is needed for that."""

import shlex
import sqlite3
import sys
from pathlib import Path
from typing import Any

VIEW = "leaderboard"
PORT = 5000
METRICS = ("validation", "train", "gain_low", "gain_high")
"""MLflow shows them in alphabetical order: more would push ``validation`` away."""

TAGS = ("arm", "isolation", "calibration")


def database(runs: Path) -> str:
    """Tracking URI of the store under ``runs``, as an absolute path."""
    return f"sqlite:///{_file(runs)}"


def url(experiment: str) -> str:
    """Address of the leaderboard once ``command`` runs."""
    return (
        f"http://127.0.0.1:{PORT}/#/experiments/{experiment}/runs"
        f"?viewStateShareKey={VIEW}&workflowType=machine_learning"
    )


def command(runs: Path) -> str:
    """Command that serves the leaderboard."""
    beside = Path(sys.executable).parent / "mlflow"
    program = str(beside) if beside.exists() else "mlflow"
    options = ("--backend-store-uri", database(runs), "--port", str(PORT))
    return shlex.join((program, "ui", *options))


def experiment_id(runs: Path, problem: str) -> str | None:
    """The problem's experiment, read without ``mlflow``; None if there is none."""
    file = _file(runs)
    if not file.exists():
        return None
    query = "SELECT experiment_id FROM experiments WHERE name = ?"
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
    try:
        found = connection.execute(query, (f"adrs/{problem}",)).fetchone()
    except sqlite3.Error:
        return None
    finally:
        connection.close()
    return None if found is None else str(found[0])


def _file(runs: Path) -> Path:
    return runs.resolve() / "mlflow.db"


def shared_view() -> dict[str, Any]:
    """State of MLflow's run table as a leaderboard: filter, order and columns."""
    metrics = [f"metrics.`{name}`" for name in METRICS]
    return {
        "searchFilter": "tags.ranked = 'true'",
        "orderByKey": "metrics.`validation`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": metrics + [f"tags.`{name}`" for name in TAGS],
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "FIRST_20_RUNS",
        "viewMaximized": True,
        "runListHidden": False,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "useGroupedValuesInCharts": True,
    }
