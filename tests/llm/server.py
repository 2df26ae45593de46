"""A real HTTP server that speaks chat completions and misbehaves by script."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self


class Response(NamedTuple):
    """What to send; ``missing`` bytes are promised in the header but never sent."""

    body: bytes
    status: int = 200
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    missing: int = 0
    delay_s: float = 0.0


def answer(text: object, finish: str = "stop", **message: object) -> Response:
    body = completion(text, finish, **message)
    body["usage"] = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    return Response(json.dumps(body).encode())


def completion(text: object, finish: str = "stop", **message: object) -> dict[str, Any]:
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": text, **message},
    }
    return {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]}


def error(
    status: int, message: str, param: str = "", retry_after: str = ""
) -> Response:
    body = {"error": {"message": message, "param": param or None, "type": "e"}}
    headers = (("Retry-After", retry_after),) if retry_after else ()
    return Response(json.dumps(body).encode(), status, headers=headers)


class Server:
    """Gives the responses of a script in turn, the last one for ever after."""

    def __init__(self, *script: Response, port: int = 0) -> None:
        self.asked: list[dict[str, Any]] = []
        self.asked_at_s: list[float] = []
        self.most_at_once = 0
        self._at_once = 0
        self._script = script
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self._respond))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _respond(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length", 0))
        asked = json.loads(handler.rfile.read(length))
        with self._lock:
            number = len(self.asked)
            self.asked.append({"path": handler.path, **asked})
            self.asked_at_s.append(time.monotonic())
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        response = self._script[min(number, len(self._script) - 1)]
        time.sleep(response.delay_s)
        with self._lock:
            self._at_once -= 1
        _send(handler, response)


def _send(handler: BaseHTTPRequestHandler, response: Response) -> None:
    lines = [
        f"HTTP/1.1 {response.status} Scripted",
        f"Content-Type: {response.kind}",
        f"Content-Length: {len(response.body) + response.missing}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in response.headers),
    ]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    try:
        handler.connection.sendall(head + response.body)
    except OSError:
        return  # the client had enough of waiting
    handler.close_connection = True


def _handler(
    respond: Callable[[BaseHTTPRequestHandler], None],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            respond(self)

        def log_message(self, *_: object) -> None:
            return

    return Handler
