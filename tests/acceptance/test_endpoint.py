"""A campaign with a model endpoint that does everything that endpoints do."""

import socket

import pytest

from tests.acceptance.command import ENVIRONMENT, evolve, failures, good, records, reply
from tests.attacks.table import SPIN, hook
from tests.llm.server import Response, Server, answer, completion, error

MISSED = "<<<<<<< SEARCH\nnot in any file\n=======\nx\n>>>>>>> REPLACE\n"
KEYED = {**ENVIRONMENT, "OPENAI_API_KEY": "any"}
GOOD = [answer(reply(good(n))) for n in (300.0, 200.0, 100.0, 50.0)]
EMPTY = completion("")
EMPTY["choices"] = []

FAULTS = {
    "no answer in": Response(b"{}", delay_s=3.0),
    "500": error(500, "out of order"),
    "no JSON object": Response(b"<html>garbage</html>"),
    "no choices": Response(b'{"choices": []}'),
    "cut off": answer("class", finish="length"),
    "refused": answer(None, refusal="I may not"),
    "no_code": answer("Sort the queue by size, I should think."),
    "no_match": answer(MISSED),
}
"""What the journal says of it: what the endpoint does."""

TYPED = ("llm=openai", "llm.model=m", "llm.timeout_s=0.5", "llm.concurrency=1")


def typed(url, *more):
    return (*TYPED, f"llm.base_url={url}", "limits.cpu_s=0.3", *more)


def proposals(journal):
    found = records(journal)
    return sum(r["record"] == "proposed" and r["round"] > 0 for r in found)


def closed_port():
    """A port of this machine where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return closed.getsockname()[1]


@pytest.mark.slow
@pytest.mark.parametrize("retries", [0, 1])
def test_a_campaign_rides_out_whatever_an_endpoint_does(tmp_path, retries):
    script = [error(429, "slow down", retry_after="1"), GOOD[0]]
    for fault in FAULTS.values():
        # The loop asks twice, saying what was wrong, and the client may again.
        script += [fault] * 2 * (retries + 1)
    script += [answer(reply(hook(SPIN))), GOOD[1]]
    # One slot a round: what the endpoint does comes in turn.
    more = ("search.slots=1", "budget.evaluations=3", "run=a")
    more += (f"llm.max_retries={retries}",)
    with Server(*script) as server:
        done = evolve(*typed(server.url, *more), cwd=tmp_path, environment=KEYED)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    journal = tmp_path / "runs/a/journal.jsonl"
    said = [r["message"] for r in records(journal) if r["record"] == "rejected"]
    for fault in FAULTS:
        assert any(fault in line for line in said), (fault, said)
    assert failures(journal) == [None, "cpu_limit", None]
    reasons = {r["reason"] for r in records(journal) if r["record"] == "rejected"}
    assert reasons == {"model", "edit"}
    assert "ended: evaluations" in done.stderr


@pytest.mark.slow
def test_an_endpoint_that_goes_down_costs_nothing_and_the_run_goes_on(tmp_path):
    port = closed_port()
    url = f"http://127.0.0.1:{port}/v1"
    more = ("llm.max_retries=0", "search.slots=1", "search.outage_s=2")
    more += ("budget.evaluations=4", "run=a")
    journal = tmp_path / "runs/a/journal.jsonl"
    with Server(*GOOD[:2], error(401, "no such key"), port=port):
        down = evolve(*typed(url, *more), cwd=tmp_path, environment=KEYED)
    before = journal.read_bytes()
    assert down.returncode == 1
    assert proposals(journal) == 2
    assert "Traceback" not in down.stderr
    last = down.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "nothing is lost, to go on: " in last
    gone = evolve(*typed(url, *more), cwd=tmp_path, environment=KEYED)
    assert gone.returncode == 1
    assert f"127.0.0.1:{port}" in gone.stderr.splitlines()[-1]
    assert journal.read_bytes().startswith(before)
    with Server(*GOOD[2:], port=port):
        up = evolve(*typed(url, *more), cwd=tmp_path, environment=KEYED)
    assert up.returncode == 0, up.stderr
    assert "resuming run a after" in up.stderr
    assert journal.read_bytes().startswith(before)
    assert failures(journal) == [None] * 4
