"""Replies kept in a file as they come, and a model that replays them."""

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from adrs.llm.model import Key, Message, Model, ModelError, Reply
from evaluators.problem import Problem

Answer = Reply | ModelError


def build(problem: Problem, seed: int, *, path: str) -> Model:
    """Model that replays what ``record`` kept in ``path``, without any network.

    A question that was not recorded, or was recorded for other messages, raises
    ``ModelError`` naming it. Raises ``OSError`` with one line when the file cannot be
    read and ``ValueError`` when a line of it is no reply.
    """
    del problem, seed
    return Replay(Replies(Path(path)))


def record(model: Model, path: Path) -> Model:
    """``model`` with every answer kept in ``path``, one JSON line each, fsynced.

    A question that the file already answers is not asked again, so an interrupted
    campaign resumes for free. ``ModelError`` is an answer and is kept;
    ``ModelUnavailableError`` is none and is not. Lines lie in the order in which the
    answers came, which differs from run to run.
    """
    path.touch()
    return Recorder(model, Replies(path))


def digest(messages: tuple[Message, ...]) -> str:
    """First 16 hex digits of the hash of the messages."""
    text = json.dumps([[message.role, message.content] for message in messages])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Replies:
    """The file of replies and its index by question; safe from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = "recorded"
        self._lock = threading.Lock()
        self._answers: dict[tuple[Key, str], Answer] = {}
        self._keys: set[Key] = set()
        self._whole_bytes = 0
        for number, line in enumerate(_content(path).splitlines(keepends=True), 1):
            if not line.endswith(b"\n"):
                break  # torn by a kill in mid-write: that reply never counted
            self._whole_bytes += len(line)
            self._load(line, number)

    def find(self, key: Key, messages: str) -> Answer | None:
        """Answer recorded for this key and hash of messages, if any."""
        return self._answers.get((key, messages))

    def has_key(self, key: Key) -> bool:
        """Whether the key was recorded, be it for other messages."""
        return key in self._keys

    def add(self, model: str, key: Key, messages: str, answer: Answer) -> None:
        """Keep an answer; on disk when this returns. ``OSError`` when it cannot be."""
        line = (json.dumps(_row(model, key, messages, answer)) + "\n").encode()
        with self._lock:
            try:
                self._write(line)
            except OSError as error:
                raise OSError(
                    f"cannot keep a reply in {self.path}: {error.strerror}; what is "
                    "recorded is safe, the same command goes on from there"
                ) from None
            self._whole_bytes += len(line)
            self._index(key, messages, answer)

    def _write(self, line: bytes) -> None:
        with self.path.open("r+b", buffering=0) as file:
            file.truncate(self._whole_bytes)
            file.seek(self._whole_bytes)
            view = memoryview(line)
            while view:
                view = view[file.write(view) :]
            os.fsync(file.fileno())

    def _load(self, line: bytes, number: int) -> None:
        try:
            row = json.loads(line)
            key = Key(row["round"], row["slot"], row["attempt"])
            self.model = row["model"]
            self._index(key, row["messages"], _answer(row))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self.path} line {number} is not a recorded reply: {error!r}"
            ) from None

    def _index(self, key: Key, messages: str, answer: Answer) -> None:
        self._answers.setdefault((key, messages), answer)
        self._keys.add(key)


class Recorder:
    """Asks a model and keeps what it answers."""

    def __init__(self, model: Model, replies: Replies) -> None:
        self.name = model.name
        self._model = model
        self._replies = replies

    def complete(self, messages: tuple[Message, ...], key: Key) -> Reply:
        """The kept answer, or the model's, which is then kept."""
        hashed = digest(messages)
        answer = self._replies.find(key, hashed)
        if answer is None:
            answer = self._ask(messages, key)
            self._replies.add(self.name, key, hashed, answer)
        return _given(answer)

    def _ask(self, messages: tuple[Message, ...], key: Key) -> Answer:
        try:
            return self._model.complete(messages, key)
        except ModelError as error:
            return error


class Replay:
    """Answers only what was recorded, under the name of the recorded model."""

    def __init__(self, replies: Replies) -> None:
        self.name = replies.model
        self._replies = replies

    def complete(self, messages: tuple[Message, ...], key: Key) -> Reply:
        """The recorded answer; raises ``ModelError`` naming a question without one."""
        answer = self._replies.find(key, digest(messages))
        if answer is not None:
            return _given(answer)
        asked = f"round {key.round} slot {key.slot} attempt {key.attempt}"
        why = (
            "was recorded for other messages (the prompt has changed since)"
            if self._replies.has_key(key)
            else "was never recorded"
        )
        raise ModelError(f"{self._replies.path}: {asked} {why}")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OSError(
            f"no replies can be read from {path} ({error.strerror}); expected llm.path "
            "to be the replies.jsonl of a run, such as runs/NAME/replies.jsonl"
        ) from None


def _given(answer: Answer) -> Reply:
    if isinstance(answer, ModelError):
        raise ModelError(str(answer), answer.spent)
    return answer


def _row(model: str, key: Key, messages: str, answer: Answer) -> dict[str, Any]:
    row: dict[str, Any] = {**key._asdict(), "messages": messages, "model": model}
    cost = answer
    if isinstance(answer, ModelError):
        row["error"] = str(answer)
        cost = answer.spent
    else:
        row["text"] = answer.text
    assert isinstance(cost, Reply)
    row["prompt_tokens"] = cost.prompt_tokens
    row["completion_tokens"] = cost.completion_tokens
    row["usd"] = cost.usd
    return row


def _answer(row: dict[str, Any]) -> Answer:
    tokens = row["prompt_tokens"], row["completion_tokens"]
    reply = Reply(row.get("text", ""), *tokens, row["usd"])
    if "error" in row:
        return ModelError(row["error"], reply)
    return Reply(row["text"], *tokens, row["usd"])
