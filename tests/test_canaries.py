"""What is planted where no policy may look is in nothing that comes of any policy."""

import json
import os
import secrets
import zlib
from contextlib import suppress
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from adrs import sandbox
from adrs.pool import in_process
from tests.acceptance.command import ENVIRONMENT, evolve, records, reply
from tests.attacks import prey as laid_out
from tests.attacks.snoops import BIRD, FORGETFUL, LENGTH, SNOOPS
from tests.attacks.table import LIMITS, hook
from tests.llm.server import Server, answer
from tests.sandbox_problem import HONEST, PROBLEM, exam

KINDS = ("environment", "arguments", "file", "folder", "heap", "seed", "frame")
FOUND_IN_PROCESS = {*KINDS, "another", "lengths"}


@pytest.fixture(scope="module", autouse=True)
def zygote():
    yield
    sandbox.close_zygote()


@pytest.fixture
def planted(tmp_path):
    """Canaries by kind, each in its place, and an exam of lengths that are some."""
    birds = {kind: f"{BIRD}{kind} {secrets.token_hex(4)}" for kind in KINDS}
    sat = exam()
    lengths = LENGTH + np.arange(len(sat.scenario.trace))
    trace = replace(sat.scenario.trace, output_tokens=lengths)
    sat = sat._replace(scenario=replace(sat.scenario, trace=trace))
    argv = [*os.sys.argv, birds["arguments"]]
    with (
        laid_out.prey(tmp_path) as prey,
        patch.dict(os.environ, ADRS_SECRET=birds["environment"]),
        patch.object(os.sys, "argv", argv),
    ):
        (tmp_path / "secret.txt").write_text(birds["file"])
        (tmp_path / birds["folder"]).touch()
        yield prey, sat, birds


def heard(outcomes):
    """All that comes of policies: what they say, and the logs of what they decided."""
    return "".join(
        f"{outcome!r}{zlib.decompress(outcome.log)!r}" if outcome.log else repr(outcome)
        for outcome in outcomes
    )


def is_told(length, outcomes):
    """Whether a number is in any log, as text or in the bytes of an array."""
    forms = (np.int64(length).tobytes(), np.float64(length).tobytes())
    logs = [zlib.decompress(each.log) for each in outcomes if each.log]
    return any(form in log for form in forms for log in logs)


def test_no_canary_is_found_from_a_policys_process(planted):
    prey, sat, birds = planted
    sources = [FORGETFUL, *map(prey.armed, SNOOPS.values()), HONEST]
    outcomes = [sandbox.evaluate(PROBLEM, s, sat, LIMITS) for s in sources]
    assert [outcome.failure for outcome in outcomes] == [None] * len(sources)
    said = heard(outcomes)
    assert BIRD not in said
    assert not any(str(length) in said for length in sat.scenario.trace.output_tokens)
    assert not any(is_told(n, outcomes) for n in sat.scenario.trace.output_tokens)
    assert birds


def test_each_canary_is_found_where_nothing_holds_a_policy(planted):
    prey, sat, birds = planted
    kept = [birds["heap"], birds["seed"].encode()]
    frame = birds["frame"]
    try:
        found = "".join(
            str(in_process(PROBLEM, source, [sat]).failure)
            for source in (FORGETFUL, *map(prey.armed, SNOOPS.values()))
        )
    finally:
        del np.left_behind
    missed = [kind for kind in FOUND_IN_PROCESS if kind not in found]
    assert not missed, (found, kept, frame)


@pytest.mark.slow
def test_no_canary_reaches_a_journal_a_log_a_summary_or_a_model(tmp_path):
    environment = {
        **ENVIRONMENT,
        "OPENAI_API_KEY": f"{BIRD}key",
        "ADRS_SECRET": f"{BIRD}environment",
    }
    (tmp_path / "kept").write_text(f"{BIRD}seed {secrets.token_hex(32)}\n")
    (tmp_path / "secret.txt").write_text(f"{BIRD}file\n")
    armed = [
        source
        .replace("$file", str(tmp_path / "secret.txt"))
        .replace("$folder", str(tmp_path))
        .replace("$keeper", str(os.getpid()))
        for source in SNOOPS.values()
    ]
    replies = [answer(reply(hook("return -waiting.arrived_s * 1.5")))]
    replies += [answer(reply(source)) for source in armed]
    with Server(*replies) as server:
        done = evolve(
            *("llm=openai", "llm.model=m", f"llm.base_url={server.url}"),
            *("llm.concurrency=1", "search.slots=1", "run=a", "secret=kept"),
            f"budget.evaluations={len(replies)}",
            cwd=tmp_path,
            environment=environment,
        )
    assert done.returncode == 0, done.stderr
    trials = [
        r for r in records(tmp_path / "runs/a/journal.jsonl") if r["record"] == "trial"
    ]
    assert len(trials) > len(SNOOPS)
    told = [done.stdout, done.stderr, json.dumps(server.asked)]
    told += [plain(path) for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert not [text[:300] for text in told if BIRD in text]


def plain(path):
    """What a file holds, unpacked if it is packed."""
    data = path.read_bytes()
    with suppress(zlib.error):
        data = zlib.decompress(data)
    return data.decode(errors="replace")
