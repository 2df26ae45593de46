"""Say what works on this machine and what does not."""

import json
import os
import platform
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from adrs import isolation as isolated
from adrs.settings import Settings
from adrs.terminal import say
from adrs.tracking import Tracker, TrackingError
from evaluators.confine import LAYERS
from evaluators.workloads.catalogue import CATALOGUE, PublicTrace
from evaluators.workloads.replay import data_folder, find

PACKAGES = ("numpy", "hydra-core", "joblib", "mlflow", "openai")
LEAST_DISK_BYTES = 1 << 30


class Finding(NamedTuple):
    """One thing looked at; ``works`` is None for what is merely absent."""

    name: str
    works: bool | None
    detail: str


def run(settings: Settings) -> int:
    """Print every finding; 0 when all that a first run needs works."""
    findings = [check() for check in _checks()]
    findings += isolation()
    findings.append(traces(settings.data))
    if settings.format == "json":
        say(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        for finding in findings:
            word = {True: "works", False: "FAILS", None: "none"}[finding.works]
            say(f"{word:<6} {finding.name:<26} {finding.detail}")
    return int(any(finding.works is False for finding in findings))


def _checks() -> tuple[Callable[[], Finding], ...]:
    return (
        interpreter,
        *(partial(package, name) for name in PACKAGES),
        ours,
        foreign,
        cores,
        limits,
        wal,
        runs,
        store,
        endpoint,
    )


def interpreter() -> Finding:
    """Python 3.11 on Linux, whose facilities isolate policies."""
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    fits = sys.version_info >= (3, 11) and platform.system() == "Linux"
    return Finding("python", fits, detail + ("" if fits else "; needs 3.11, Linux"))


def package(name: str) -> Finding:
    """A package that we need, looked up without importing it."""
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, f"not installed: pip install {name}")


def ours() -> Finding:
    """This distribution."""
    try:
        return Finding("adrs-harness", True, version("adrs-harness"))
    except PackageNotFoundError:
        return Finding("adrs-harness", None, "not installed; runs from its checkout")


def foreign() -> Finding:
    """Another project on PyPI installs a package of the same name."""
    try:
        found = version("adrs")
    except PackageNotFoundError:
        return Finding("no foreign adrs", True, "only adrs-harness provides it")
    way_out = "pip uninstall adrs, then reinstall adrs-harness"
    return Finding("no foreign adrs", False, f"adrs {found} overwrites it: {way_out}")


def cores() -> Finding:
    """As many policies are judged at once."""
    usable = len(os.sched_getaffinity(0))
    return Finding("cores", True, f"{usable} usable of {os.cpu_count()}")


def limits() -> Finding:
    """A forked child over its memory limit must fail and must not take us along."""
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))
            bytearray(1 << 29)
            os._exit(1)
        except MemoryError:
            os._exit(0)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    holds = os.waitstatus_to_exitcode(status) == 0
    detail = "a child over its memory limit " + ("fails" if holds else "GOES ON")
    return Finding("resource limits", holds, detail)


def isolation() -> list[Finding]:
    """Each layer that holds policies, by what was tried to get past it."""
    try:
        report, outer = isolated.probed(), isolated.outer()
    except isolated.IsolationError as error:
        return [Finding("isolation", False, str(error))]
    findings = [_layer(report, layer) for layer in LAYERS]
    level = report.level or "none that a policy may run at"
    default = isolated.STRICT
    findings.append(Finding("isolation level", level == default, level))
    findings += [
        Finding(f"outer: {name}", has or None, "not used" if has else "absent")
        for name, has in outer.items()
    ]
    return findings


def _layer(report: isolated.Report, layer: str) -> Finding:
    own = [finding for finding in report.findings if finding.probe.layer == layer]
    refused = ", ".join(each.probe.name for each in own if each.is_refused)
    if layer in report.missing:
        return Finding(f"isolation: {layer}", False, report.missing[layer])
    beside = [each.probe.name for each in own if not each.is_refused]
    note = f"; left to seccomp: {', '.join(beside)}" if beside else ""
    return Finding(f"isolation: {layer}", True, f"no way to {refused}{note}")


def wal() -> Finding:
    """A database with a write-ahead log, as the MLflow store has."""
    with tempfile.TemporaryDirectory() as place:
        connection = sqlite3.connect(Path(place) / "probe.db")
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        connection.close()
    return Finding("sqlite", mode == "wal", f"{sqlite3.sqlite_version}, journal {mode}")


def runs() -> Finding:
    """Campaigns write below the caller's folder."""
    place = Path("runs") if Path("runs").is_dir() else Path()
    free = shutil.disk_usage(place).free
    fits = os.access(place, os.W_OK) and free > LEAST_DISK_BYTES
    writable = "writable" if os.access(place, os.W_OK) else "NOT writable"
    detail = f"{place.resolve()} is {writable}, {free / 1e9:.0f} GB free"
    return Finding("runs folder", fits, detail)


def store() -> Finding:
    """A whole MLflow store, made and thrown away."""
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        try:
            Tracker(Path(place)).wait()
        except TrackingError as error:
            return Finding("mlflow store", False, f"{error}; or use tracking=off")
    took_s = time.monotonic() - start_s
    return Finding("mlflow store", True, f"a fresh one opens in {took_s:.1f} s")


def endpoint() -> Finding:
    """The key itself is never shown."""
    url = os.environ.get("OPENAI_BASE_URL")
    has_key = "set" if os.environ.get("OPENAI_API_KEY") else "not set"
    if url is None and has_key == "not set":
        detail = "OPENAI_BASE_URL and OPENAI_API_KEY not set; llm=offline needs neither"
        return Finding("model endpoint", None, detail)
    return Finding("model endpoint", True, f"{url or 'OpenAI'}, key {has_key}")


def traces(folder: str | None) -> Finding:
    """Public traces where ``adrs fetch`` keeps them and the workloads look."""
    root = Path(folder).expanduser() if folder else data_folder()
    if folder and not root.is_dir():
        return Finding("recorded traces", False, f"{root} is not a folder")
    found = [trace.name for trace in CATALOGUE if _is_in(root, trace)]
    if not found:
        detail = f"none in {root}; the synthetic workload needs none, else adrs fetch"
        return Finding("recorded traces", None, detail)
    detail = f"{len(found)} of {len(CATALOGUE)} in {root}: {', '.join(found)}"
    return Finding("recorded traces", True, detail)


def _is_in(root: Path, trace: PublicTrace) -> bool:
    try:
        find(trace.name, (trace.file,), str(root))
    except FileNotFoundError:
        return False
    return True
