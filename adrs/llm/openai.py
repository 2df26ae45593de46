"""Any endpoint with OpenAI's chat completions; only plain chat is asked of it."""

import json
import logging
import math
import os
import re
import threading
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from adrs.hidden import Hidden, bare
from adrs.llm.model import Key, Message, Model, ModelError, ModelUnavailableError, Reply
from evaluators.problem import Problem

LETTERS_PER_TOKEN = 4.0
"""Rule of thumb for English and code, used where an endpoint reports no usage."""

BROKEN_CONNECTIONS = frozenset({
    "ReadError",
    "WriteError",
    "CloseError",
    "RemoteProtocolError",
    "DecodingError",
})
"""Transport errors after the endpoint had been reached: this one question only."""

QUESTION_STATUSES = frozenset({400, 408, 409, 413, 422, 500})
"""Statuses that blame this one question; any other says that none will be answered."""

OUTAGE_STATUSES = frozenset({408, 500})
"""Of these, those that may blame the endpoint when every question gets them."""

OUR_PARAMETERS = ("max_tokens", "max_completion_tokens", "temperature", "model")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent with every question; ``temperature`` None is left out."""

    model: str
    max_tokens: int
    max_tokens_field: str
    temperature: float | None

    def body(self, messages: tuple[Message, ...]) -> dict[str, Any]:
        """Arguments of the chat completion of these messages."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [message._asdict() for message in messages],
            self.max_tokens_field: self.max_tokens,
        }
        if self.temperature is not None:
            body["temperature"] = self.temperature
        return body


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars per million tokens; None where unknown."""

    prompt: float | None
    completion: float | None

    def usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars of a question."""
        prompt = prompt_tokens * (self.prompt or 0.0)
        return (prompt + completion_tokens * (self.completion or 0.0)) / 1e6


def build(  # noqa: PLR0913 (one keyword a configuration key)
    problem: Problem,
    seed: int,
    *,
    model: str,
    base_url: str | None = None,
    api_key_env: str = "OPENAI_API_KEY",
    timeout_s: float = 120.0,
    max_retries: int = 5,
    temperature: float | None = None,
    max_tokens: int = 4096,
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens",
    usd_per_million_prompt_tokens: float | None = None,
    usd_per_million_completion_tokens: float | None = None,
    concurrency: int = 8,
) -> Model:
    """Model behind an endpoint; ``base_url`` None means OPENAI_BASE_URL or OpenAI's.

    The endpoint need not know streaming, ``n`` or structured output. Raises
    ``ModelUnavailableError`` when OpenAI's own endpoint is meant and the environment
    variable ``api_key_env`` holds no key; other endpoints may need none.
    """
    del problem, seed
    if max_tokens_field not in ("max_tokens", "max_completion_tokens"):
        raise ValueError(
            f"llm.max_tokens_field is {max_tokens_field!r}; expected max_tokens or "
            "max_completion_tokens"
        )
    request = Request(model, max_tokens, max_tokens_field, temperature)
    prices = Prices(usd_per_million_prompt_tokens, usd_per_million_completion_tokens)
    url = _address(base_url)
    client = _client(url, api_key_env, timeout_s, max_retries)
    return Endpoint(client, request, prices, concurrency)


def _address(base_url: str | None) -> str | None:
    """The address to ask; None for OpenAI's own."""
    url = base_url or os.environ.get("OPENAI_BASE_URL") or None
    if url and not re.match(r"https?://[^/?#]", url, re.IGNORECASE):
        key = "llm.base_url" if base_url else "OPENAI_BASE_URL (llm.base_url is null)"
        raise ValueError(
            f"{key} is {bare(url)}; expected http:// or https:// before the host, such "
            "as http://127.0.0.1:8000/v1"
        )
    return url


def _client(
    url: str | None, api_key_env: str, timeout_s: float, max_retries: int
) -> Any:  # noqa: ANN401 (the package is imported lazily)
    key = os.environ.get(api_key_env, "").strip()
    if url is None and not key:
        raise ModelUnavailableError(
            f"no key for OpenAI's endpoint: {api_key_env} is not set; export it, name "
            "another variable with llm.api_key_env=, point llm.base_url= at a local "
            "endpoint, or search without a model: llm=offline"
        )
    try:
        from openai import OpenAI  # noqa: PLC0415 (0.5 s that other providers save)
    except ImportError as error:
        raise ModelUnavailableError(
            f"{error}; install it with: pip install 'openai>=1.109,<4'"
        ) from error
    return OpenAI(
        base_url=url, api_key=key or "none", timeout=timeout_s, max_retries=max_retries
    )


class Endpoint:
    """A model behind one endpoint; ``complete`` may be called from many threads."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 (the package is imported lazily)
        request: Request,
        prices: Prices,
        concurrency: int,
    ) -> None:
        self.name = request.model
        self._hidden = Hidden(str(client.base_url), [client.api_key])
        self.base_url = self._hidden.address
        self._client = client
        self._request = request
        self._prices = prices
        self._turn = threading.BoundedSemaphore(concurrency)
        self._has_warned = False

    def complete(self, messages: tuple[Message, ...], key: Key) -> Reply:
        """Ask for one completion.

        The client retries 408, 409, 429, 5xx, time-outs and lost connections with
        back-off, as long as Retry-After says where it is given.
        """
        del key
        import openai  # noqa: PLC0415 (built only where the package is present)

        create = self._client.chat.completions.with_raw_response.create
        try:
            with self._turn:
                raw = create(**self._request.body(messages))
        except openai.APITimeoutError as error:
            self._connection_failed(error, f"no answer in {self._client.timeout} s")
        except openai.APIConnectionError as error:
            self._connection_failed(error, str(error))
        except openai.APIStatusError as error:
            self._refused(error.status_code, error.param, str(error))
        except openai.OpenAIError as error:
            raise ModelError(self._line(str(error))) from error
        return self._reply(raw.http_response.text, messages)

    def _connection_failed(self, error: Exception, what: str) -> NoReturn:
        cause = error.__cause__
        kind = type(cause).__name__
        line = self._line(f"{what} ({kind}: {cause})" if cause else what)
        if kind in BROKEN_CONNECTIONS or kind == "ReadTimeout":
            raise ModelError(line, is_outage=True) from error
        raise ModelUnavailableError(
            f"{line}; is the server up and llm.base_url right (with its /v1)?"
        ) from error

    def _refused(self, status: int, parameter: str | None, what: str) -> NoReturn:
        line = self._line(what)
        blamed = next((p for p in OUR_PARAMETERS if p == parameter), None)
        if status in QUESTION_STATUSES and blamed is None:
            raise ModelError(line, is_outage=status in OUTAGE_STATUSES)
        raise ModelUnavailableError(f"{line}; {_way_out(status, blamed, self.name)}")

    def _reply(self, body: str, messages: tuple[Message, ...]) -> Reply:
        """The one choice of a response body; raises ``ModelError`` when unusable."""
        answer = _object(body)
        if answer is None:
            raise ModelError(self._line(f"the body is no JSON object: {body[:80]!r}"))
        choices = answer.get("choices")
        if not isinstance(choices, list) or not choices:
            raise ModelError(self._line(f"no choices: {answer.get('error', body)}"))
        choice = choices[0] if isinstance(choices[0], dict) else {}
        message = choice.get("message")
        message = message if isinstance(message, dict) else {}
        text = _text(message.get("content"))
        spent = self._spent(answer.get("usage"), text, messages)
        fault = _fault(message, choice.get("finish_reason"), text)
        if fault:
            raise ModelError(self._line(fault), spent)
        return Reply(text, spent.prompt_tokens, spent.completion_tokens, spent.usd)

    def _spent(self, usage: object, text: str, messages: tuple[Message, ...]) -> Reply:
        facts = usage if isinstance(usage, dict) else {}
        prompt = _count(facts.get("prompt_tokens"))
        completion = _count(facts.get("completion_tokens"))
        if prompt is None or completion is None:
            self._warn_of_estimates()
            prompt = _estimate("".join(message.content for message in messages))
            completion = _estimate(text)
        usd = self._prices.usd(prompt, completion)
        billed = facts.get("cost")
        if self._prices == Prices(None, None) and isinstance(billed, int | float):
            usd = max(float(billed), 0.0)
        return Reply("", prompt, completion, usd)

    def _warn_of_estimates(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "%s reports no usage: tokens are estimated at %g letters each",
                self.base_url,
                LETTERS_PER_TOKEN,
            )

    def _line(self, what: str) -> str:
        """One line that names the endpoint and the model, and holds no secret."""
        said = " ".join(self._hidden.out_of(what).split())[:300]
        return f"{self.base_url} {self.name}: {said}"


def _way_out(status: int, parameter: str | None, model: str) -> str:
    if parameter in ("max_tokens", "max_completion_tokens"):
        return "set llm.max_tokens_field to the other of the two fields"
    if parameter == "temperature":
        return "leave llm.temperature=null"
    if status in (401, 403):
        return "check the key in the variable that llm.api_key_env names"
    if status == 404 or parameter == "model":
        return f"is {model!r} served there, and does llm.base_url end in /v1?"
    if status in (402, 429):
        return "out of credit or over the rate limit: wait, or lower llm.concurrency"
    return "the endpoint is not serving; try again later"


def _object(body: str) -> dict[str, Any] | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _text(content: object) -> str:
    """Text of a message, given as a string or as parts, without leading thoughts."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        content = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str):
        return ""
    return re.sub(r"\A\s*<think>.*?</think>\s*", "", content, flags=re.DOTALL)


def _fault(message: dict[str, Any], finish: object, text: str) -> str | None:
    if message.get("refusal"):
        return f"refused: {message['refusal']}"
    if finish == "content_filter":
        return "refused by the content filter"
    if finish == "length":
        return "cut off: raise llm.max_tokens"
    if not text.strip():
        return f"empty reply (finish_reason {finish})"
    return None


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_count else None  # type: ignore[return-value]


def _estimate(text: str) -> int:
    return math.ceil(len(text) / LETTERS_PER_TOKEN)
