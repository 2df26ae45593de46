"""Claims about endpoints, against a real HTTP server that misbehaves."""

import json
import logging
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from adrs.llm import openai
from adrs.llm.model import (
    Key,
    Message,
    Model,
    ModelError,
    ModelUnavailableError,
    Reply,
)
from evaluators.problems import load
from tests.llm.server import Response, Server, answer, completion, error

PROBLEM = load("scheduling")
SECRET = "sk-very-secret-0123456789"
QUESTION = (Message("system", "You write policies."), Message("user", "Go on."))
GOOD = answer("A policy.")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)


def endpoint(url: str, **options: object) -> Model:
    settings = {"model": "m", "timeout_s": 5.0, "max_retries": 1, **options}
    return openai.build(PROBLEM, 0, base_url=url, **settings)


def ask(*script: Response, **options: object) -> Reply:
    with Server(*script) as server:
        return endpoint(server.url, **options).complete(QUESTION, Key(1, 0, 0))


def test_a_question_is_plain_chat_and_nothing_else() -> None:
    with Server(GOOD) as server:
        model = endpoint(server.url, max_tokens=77, temperature=0.5)
        model.complete(QUESTION, Key(1, 0, 0))
    assert server.asked == [
        {
            "path": "/v1/chat/completions",
            "model": "m",
            "messages": [
                {"role": "system", "content": "You write policies."},
                {"role": "user", "content": "Go on."},
            ],
            "max_tokens": 77,
            "temperature": 0.5,
        }
    ]


def test_the_field_of_the_token_limit_can_be_chosen() -> None:
    with Server(GOOD) as server:
        model = endpoint(server.url, max_tokens_field="max_completion_tokens")
        model.complete(QUESTION, Key(1, 0, 0))
    assert server.asked[0]["max_completion_tokens"] == 4096
    assert {"max_tokens", "temperature"}.isdisjoint(server.asked[0])
    with pytest.raises(ValueError, match="expected max_tokens or"):
        endpoint(server.url, max_tokens_field="tokens")


def test_a_reply_carries_its_tokens_and_its_price() -> None:
    prices = {
        "usd_per_million_prompt_tokens": 2.0,
        "usd_per_million_completion_tokens": 10.0,
    }
    assert ask(GOOD, **prices) == Reply("A policy.", 100, 20, 400e-6)
    assert ask(GOOD).usd == 0


def test_the_price_that_an_endpoint_bills_counts_where_none_is_given() -> None:
    body = completion("hi")
    body["usage"] = {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.25}
    assert ask(Response(json.dumps(body).encode())).usd == 0.25


def test_tokens_are_estimated_aloud_where_usage_is_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        reply = ask(Response(json.dumps(completion("12345678")).encode()))
    assert (reply.prompt_tokens, reply.completion_tokens) == (7, 2)
    assert "reports no usage: tokens are estimated" in caplog.text


def test_text_in_parts_is_joined_and_thoughts_are_left_out() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    assert ask(answer(parts)).text == "one two"
    assert ask(answer("<think>\n```python\nno\n```\n</think>\n\nyes")).text == "yes"


def test_429_is_retried_after_the_time_it_names() -> None:
    with Server(error(429, "slow down", retry_after="0.8"), GOOD) as server:
        reply = endpoint(server.url).complete(QUESTION, Key(1, 0, 0))
    assert reply.text == "A policy."
    assert server.asked_at_s[1] - server.asked_at_s[0] >= 0.8


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_passing_failure_is_ridden_out(status: int) -> None:
    assert ask(error(status, "oops", retry_after="0.01"), GOOD).text == "A policy."


def test_a_hang_and_a_cut_connection_are_ridden_out() -> None:
    hang = GOOD._replace(delay_s=2.0)
    assert ask(hang, GOOD, timeout_s=0.3).text == "A policy."
    assert ask(GOOD._replace(missing=50), GOOD).text == "A policy."


UNUSABLE = {
    "garbage": (Response(b"\x00\xff{{{"), "no JSON object"),
    "html": (Response(b"<html>proxy</html>", kind="text/html"), "no JSON object"),
    "list": (Response(b"[1, 2]"), "no JSON object"),
    "nested": (Response(b"[" * 200_000), "no JSON object"),
    "empty body": (Response(b""), "no JSON object"),
    "error in 200": (Response(b'{"error": {"message": "full"}}'), "full"),
    "empty choices": (Response(b'{"choices": []}'), "no choices"),
    "strange choices": (Response(b'{"choices": [7]}'), "empty reply"),
    "empty content": (answer(""), "empty reply"),
    "no content": (answer(None, "tool_calls"), "finish_reason tool_calls"),
    "cut off": (answer("half a pol", "length"), "raise llm.max_tokens"),
    "filter": (answer("", "content_filter"), "content filter"),
    "refusal": (answer(None, refusal="I cannot"), "refused: I cannot"),
    "short body": (GOOD._replace(missing=50), "RemoteProtocolError"),
    "hang": (GOOD._replace(delay_s=1.0), "no answer in 0.3 s"),
    "500 for ever": (error(500, "broken schema"), "broken schema"),
    "400": (error(400, "context length exceeded"), "context length"),
    "422": (error(422, "unprocessable"), "unprocessable"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_answer_is_an_error_of_that_question_only(case: str) -> None:
    response, why = UNUSABLE[case]
    with Server(response, response, GOOD) as server:
        retries = 0 if case in ("short body", "hang", "500 for ever") else 1
        model = endpoint(server.url, timeout_s=0.3, max_retries=retries)
        with pytest.raises(ModelError, match=why) as caught:
            model.complete(QUESTION, Key(1, 0, 0))
        assert server.url in str(caught.value)
        assert "\n" not in str(caught.value)


def test_what_a_failed_question_cost_is_told() -> None:
    with pytest.raises(ModelError) as caught:
        ask(answer("half a pol", "length"), usd_per_million_completion_tokens=1e6)
    assert caught.value.spent == Reply("", 100, 20, 20.0)


DOWN = {
    "401": (error(401, f"bad key {SECRET}"), "llm.api_key_env"),
    "402": (error(402, "no credit"), "out of credit"),
    "403": (error(403, "forbidden"), "llm.api_key_env"),
    "404": (error(404, "model m not found"), "is 'm' served there"),
    "429": (error(429, "limit", retry_after="0.01"), "llm.concurrency"),
    "502": (error(502, "bad gateway", retry_after="0.01"), "try again later"),
    "503": (error(503, "starting", retry_after="0.01"), "try again later"),
    "max_tokens": (error(400, "unsupported", "max_tokens"), "llm.max_tokens_field"),
    "temperature": (error(400, "unsupported", "temperature"), "llm.temperature=null"),
}


@pytest.mark.parametrize("case", DOWN)
def test_an_endpoint_that_will_not_answer_is_named_with_the_way_out(case: str) -> None:
    response, way_out = DOWN[case]
    with pytest.raises(ModelUnavailableError) as caught:
        ask(response)
    line = str(caught.value)
    assert way_out in line
    assert "http://127.0.0.1:" in line
    assert SECRET not in line
    assert "\n" not in line


def test_a_closed_port_is_named_with_its_cause() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:password@127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(ModelUnavailableError) as caught:
            endpoint(url, max_retries=0).complete(QUESTION, Key(1, 0, 0))
    assert "ConnectError" in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert "password" not in str(caught.value)


def test_nothing_secret_of_an_address_is_said_even_if_the_endpoint_says_it() -> None:
    carried = ("ann%40corp:p%40ssw0rd", "p@ssw0rd", "ann@corp", "q-token-77", SECRET)
    said = f"who are you, {' or '.join(carried)}?"
    with Server(error(400, said)) as server:
        url = server.url.replace("//", f"//{carried[0]}@") + "?api-key=q-token-77"
        with pytest.raises(ModelError) as caught:
            endpoint(url).complete(QUESTION, Key(1, 0, 0))
    assert "who are you" in str(caught.value)
    assert server.url in str(caught.value)
    assert not [each for each in carried if each in str(caught.value)]


def test_a_wrong_address_is_an_endpoint_that_is_down() -> None:
    with pytest.raises(ModelUnavailableError, match=r"llm\.base_url"):
        endpoint("http://nowhere.invalid/v1", max_retries=0).complete(
            QUESTION, Key(1, 0, 0)
        )


@pytest.mark.parametrize("url", ["foo", "127.0.0.1:1/v1", "ann:word@foo?key=word"])
def test_an_address_without_http_is_refused_before_anything_is_asked(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = re.escape(url.rpartition("@")[2].split("?")[0])
    says = rf"llm\.base_url is {shown}; expected http:// or https://"
    with pytest.raises(ValueError, match=says):
        endpoint(url)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(ValueError, match=rf"OPENAI_BASE_URL .* is {shown}; expected"):
        openai.build(PROBLEM, 0, model="m")


def test_a_missing_key_is_told_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ModelUnavailableError, match="OPENAI_API_KEY is not set"):
        openai.build(PROBLEM, 0, model="m")
    assert ask(GOOD).text == "A policy."


def test_the_address_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Server(GOOD) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        model = openai.build(PROBLEM, 0, model="m")
        assert model.complete(QUESTION, Key(1, 0, 0)).text == "A policy."


def test_no_more_questions_are_in_flight_than_allowed() -> None:
    with Server(GOOD._replace(delay_s=0.05)) as server:
        model = endpoint(server.url, concurrency=2)
        with ThreadPoolExecutor(8) as threads:
            keys = [Key(1, slot, 0) for slot in range(8)]
            list(threads.map(lambda key: model.complete(QUESTION, key), keys))
    assert len(server.asked) == 8
    assert server.most_at_once == 2


@pytest.mark.parametrize(
    ("response", "is_outage"),
    [
        (error(500, "out of order"), True),
        (GOOD._replace(delay_s=1.0), True),
        (error(400, "too long"), False),
        (answer(None, refusal="I may not"), False),
    ],
    ids=["500", "hang", "400", "refusal"],
)
def test_a_failure_says_whether_the_endpoint_answered(
    response: Response, is_outage: bool
) -> None:
    with pytest.raises(ModelError) as caught:
        ask(response, max_retries=0, timeout_s=0.3)
    assert caught.value.is_outage is is_outage
