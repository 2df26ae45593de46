"""A campaign on the MLflow leaderboard: one parent run, a child run for each elite.

The only writer of the store and the only importer of ``mlflow``. Nothing reads the
store back: the journals under ``runs/`` are the truth, this is a way to browse them.
"""

import fcntl
import json
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from adrs.browse import VIEW, database, shared_view, url
from adrs.shown import Entry, Report

MOST_AT_ONCE = 1000
"""Metrics that MLflow takes in one batch."""

NOTE = "mlflow.note.content"


class TrackingError(Exception):
    """MLflow could not take the results; the journal has them all the same."""


class Tracker:
    """A store under ``runs`` that opens in the background.

    ``follow`` and ``report`` write to it, one after the other and from any thread.
    """

    def __init__(self, runs: Path) -> None:
        self._runs = runs.resolve()
        opener = ThreadPoolExecutor(max_workers=1)
        self._client = opener.submit(_client, self._runs)
        opener.shutdown(wait=False)

    def follow(self, report: Report) -> None:
        """Write of a campaign under way the curve, or what is new of it.

        Its run stays RUNNING. Raises ``TrackingError`` when the store refuses.
        """
        self._tell(_follow, report)

    def report(self, report: Report) -> str:
        """Write a campaign, or what is new of it; returns the URL of the leaderboard.

        Raises ``TrackingError`` when the store refuses.
        """
        return url(self._tell(_write, report))

    def _tell(self, write: Callable[[Any, str, Report], None], report: Report) -> str:
        """Have it written; the id of the experiment."""
        client = self.wait()
        try:
            experiment = _experiment(client, report.problem, self._runs)
            write(client, experiment, report)
        except _refusals() as error:
            raise self._refused(error) from error
        return experiment

    def wait(self) -> Any:  # noqa: ANN401 (mlflow is imported lazily)
        """The client, once the store is open; raises ``TrackingError`` if it fails."""
        try:
            return self._client.result()
        except _refusals() as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> TrackingError:
        return TrackingError(f"{database(self._runs)}: {str(error).splitlines()[0]}")


def _client(runs: Path) -> Any:  # noqa: ANN401 (as above)
    """A client of the store, which is made if it is not there."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow import MlflowClient  # noqa: PLC0415 (one second and 160 MB)

    runs.mkdir(parents=True, exist_ok=True)
    _ensure_schema(MlflowClient, runs)
    client = MlflowClient(database(runs), registry_uri=database(runs))
    client.search_experiments(max_results=1)
    return client


def _ensure_schema(client: Callable[[str], Any], runs: Path) -> None:
    """Make the store elsewhere and move it: a schema cut off half-way opens no more."""
    file, new = runs / "mlflow.db", runs / ".new"
    with (runs / ".mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            client(database(new)).search_experiments(max_results=1)
            (new / "mlflow.db").rename(file)
            new.rmdir()
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.close()


def _refusals() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 (as above)
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 (as above)

    return MlflowException, SQLAlchemyError, sqlite3.Error, OSError


def _experiment(client: Any, problem: str, runs: Path) -> str:  # noqa: ANN401
    """Id of the problem's experiment, made with its shared view if it is not there."""
    name = f"adrs/{problem}"
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    tags = {
        "adrs.problem": problem,
        "adrs.metric": "validation",
        "adrs.direction": "maximize",
        NOTE: (
            "Policies by their score on fresh validation scenarios. "
            f"Open the [ranked view](#/experiments?viewStateShareKey={VIEW})."
        ),
        f"mlflow.sharedViewState.{VIEW}": json.dumps(shared_view()),
    }
    place = (runs / "artifacts" / problem).as_uri()
    return str(client.create_experiment(name, artifact_location=place, tags=tags))


def _follow(client: Any, experiment: str, report: Report) -> None:  # noqa: ANN401
    """What a killed writer left is completed: the note is written last."""
    parent = _parent(client, experiment, report)
    is_running = parent.info.status == "RUNNING"
    if not is_running or parent.data.tags.get(NOTE) != report.note:
        client.log_batch(parent.info.run_id, params=_params(report))
        client.update_run(parent.info.run_id, status="RUNNING")
        client.set_tag(parent.info.run_id, NOTE, report.note)
    _draw(client, parent, report)


def _write(client: Any, experiment: str, report: Report) -> None:  # noqa: ANN401
    find = partial(_find, client, experiment)
    parent = _parent(client, experiment, report)
    _draw(client, parent, report)
    client.log_batch(parent.info.run_id, params=_params(report))
    client.set_tag(parent.info.run_id, NOTE, report.note)
    for file in report.files:
        client.log_artifact(parent.info.run_id, str(file))
    for entry in report.entries:
        begun = find("adrs.key", _key(report, entry))
        if begun is None or begun.info.status != "FINISHED":
            _write_entry(client, parent, report, entry, begun)
    if report.winner is not None:
        won = next(e for e in report.entries if e.candidate_id == report.winner)
        if won.tags["ranked"] == "true":
            _register(client, find("adrs.key", _key(report, won)), report, won)
    status = "KILLED" if report.winner is None else "FINISHED"
    client.set_terminated(parent.info.run_id, status)


def _parent(client: Any, experiment: str, report: Report) -> Any:  # noqa: ANN401
    """The campaign's run, made if it is not there."""
    return _find(
        client, experiment, "adrs.campaign_id", report.campaign_id
    ) or client.create_run(
        experiment,
        run_name=report.name,
        tags={
            "kind": "campaign",
            "adrs.campaign_id": report.campaign_id,
            "mlflow.user": os.environ.get("USER", "unknown"),
            "mlflow.source.name": f"adrs evolve run={report.name}",
        },
    )


def _draw(client: Any, parent: Any, report: Report) -> None:  # noqa: ANN401
    points = _metrics(report, parent)
    for start in range(0, len(points), MOST_AT_ONCE):
        part = points[start : start + MOST_AT_ONCE]
        client.log_batch(parent.info.run_id, metrics=part)


def _find(client: Any, experiment: str, tag: str, value: str) -> Any:  # noqa: ANN401
    found = client.search_runs([experiment], f"tags.`{tag}` = '{value}'", max_results=1)
    return found[0] if found else None


def _key(report: Report, entry: Entry) -> str:
    return f"{report.campaign_id}/{entry.candidate_id}"


def _metrics(report: Report, parent: Any) -> list[Any]:  # noqa: ANN401
    """The curve and the closing numbers.

    Stamped with the run's start plus the step, so that a second report is equal.
    """
    from mlflow.entities import Metric  # noqa: PLC0415 (as above)

    start_ms = parent.info.start_time
    points = [
        Metric(name, _rounded(value), start_ms + step, step)
        for name, values in report.curve.items()
        for step, value in values.items()
    ]
    return points + [
        Metric(name, _rounded(value), start_ms, 0)
        for name, value in report.metrics.items()
    ]


def _params(report: Report) -> list[Any]:
    from mlflow.entities import Param  # noqa: PLC0415 (as above)

    return [Param(key, str(value)[:500]) for key, value in report.settings.items()]


def _write_entry(
    client: Any,  # noqa: ANN401
    parent: Any,  # noqa: ANN401
    report: Report,
    entry: Entry,
    begun: Any,  # noqa: ANN401
) -> None:
    """Write a child run; ``begun`` is one whose writer was killed, or None."""
    from mlflow.entities import Metric  # noqa: PLC0415 (as above)

    run = begun or client.create_run(
        parent.info.experiment_id,
        run_name=f"{entry.candidate_id[:8]} {entry.name}"[:120],
        tags={
            **entry.tags,
            "adrs.campaign_id.of": report.campaign_id,
            "adrs.candidate_id": entry.candidate_id,
            "adrs.key": _key(report, entry),
            "mlflow.parentRunId": parent.info.run_id,
            "mlflow.user": os.environ.get("USER", "unknown"),
            "mlflow.source.name": f"adrs evolve run={report.name}",
        },
    )
    stamp = run.info.start_time
    metrics = [Metric(k, _rounded(v), stamp, 0) for k, v in entry.metrics.items()]
    client.log_batch(run.info.run_id, metrics=metrics)
    for name, text in entry.files.items():
        client.log_text(run.info.run_id, text, f"policy/{name}")
    client.set_terminated(run.info.run_id, "FINISHED")


def _register(client: Any, run: Any, report: Report, won: Entry) -> None:  # noqa: ANN401
    """The winner's files as a version of the problem's model.

    It takes the alias ``champion`` unless the holder sat the same exams and did better.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 (as above)

    name = f"adrs.{report.problem}"
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    filters = f"name = '{name}' and run_id = '{run.info.run_id}'"
    made = client.search_model_versions(filters)
    score = won.metrics["validation"]
    version = (
        made[0]
        if made
        else client.create_model_version(
            name,
            source=f"runs:/{run.info.run_id}/policy",
            run_id=run.info.run_id,
            tags={
                **won.tags,
                "candidate": won.candidate_id,
                "campaign": report.name,
                "validation": repr(score),
            },
            description=won.name,
        )
    )
    holder = client.get_registered_model(name).aliases.get("champion")
    if holder is not None:
        tags = client.get_model_version(name, holder).tags
        if tags["exams"] == won.tags["exams"] and float(tags["validation"]) >= score:
            return
    client.set_registered_model_alias(name, "champion", version.version)


def _rounded(value: float) -> float:
    """Six significant digits; MLflow's table prints all it gets."""
    return float(f"{value:.6g}")
