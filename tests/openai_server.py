"""A chat server on the loopback address for tests: OpenAI's protocol, with faults on demand.

It explains a feature by the strongest token shown (quoted, if there is nothing to see), and
foretells 9 for that token and 0 for all others, so a feature that answers to one token is
simulated perfectly.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_LINE = re.compile(r'^(".*")\t(\d)$', re.MULTILINE)
_PLACE = re.compile(r'^(\d+)\t(".*")$', re.MULTILINE)
_KNOWN = re.compile(r'Known of the feature: (".*")')


class ChatServer:
    """Answers until the context ends; `faults` are committed one a request, in order.

    Faults: a status (429 and 503 take `retry_after`), "echo" (401 that repeats the key), "leak"
    (an answer that does), "timeout", "html", "truncated", "empty" (no choices), "error" (200
    with an error in it), "short" (one number too few).
    """

    def __init__(self, *faults: int | str, retry_after: str = "0") -> None:
        self.faults, self.retry_after = list(faults), retry_after
        self.requests: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.content: str | None = ""  # what is said instead of the right answer
        self.released = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> ChatServer:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def next_fault(self, request: dict[str, Any], authorization: str | None) -> int | str | None:
        """Notes a request, and says what to do wrong with it."""
        with self._lock:
            self.requests.append(request)
            self.authorizations.append(authorization)
            return self.faults.pop(0) if self.faults else None

    def answer(self, request: dict[str, Any], fault: int | str | None) -> dict[str, Any]:
        """A whole answer as the protocol has it."""
        text = _said(request)
        if fault == "short":
            text = text.rsplit("\n", 1)[0]
        choice: dict[str, Any] = {
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }
        if self.content != "":
            choice["message"]["content"] = self.content
        return {"choices": [] if fault == "empty" else [choice], "usage": {}}


def _said(request: dict[str, Any]) -> str:
    asked = request["messages"][1]["content"]
    if not (known := _KNOWN.search(asked)):
        strongest = max(_LINE.findall(asked), key=lambda line: int(line[1]))
        token = json.loads(strongest[0])
        return token if token.strip() else strongest[0]
    token = json.loads(known[1])
    places = _PLACE.findall(asked)
    return "\n".join(f"{n}\t{9 if token in (t, json.loads(t)) else 0}" for n, t in places)


def _handler(server: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request, key = json.loads(body), self.headers.get("Authorization")
            fault = server.next_fault(request, key)
            if self.path != "/v1/chat/completions":
                return self._send(404, {"error": {"message": f"no {self.path} here"}})
            if fault == "timeout":
                server.released.wait(5)
                return None
            if fault == "echo":
                return self._send(401, {"error": {"message": f"Incorrect API key {key}"}})
            if fault == "error":
                return self._send(200, {"error": {"message": "the model is loading"}})
            if isinstance(fault, int):
                return self._send(fault, {"error": {"message": f"status {fault} to {key}"}})
            if fault == "html":
                return self._send(200, None, b"<html>busy</html>")
            whole = json.dumps(server.answer(request, fault)).encode()
            if fault == "leak":
                whole = whole.replace(b'"content": "', f'"content": "{key} '.encode())
            cut = len(whole) // 2 if fault == "truncated" else len(whole)
            return self._send(200, None, whole, cut)

        def _send(
            self, status: int, value: object, data: bytes | None = None, cut: int | None = None
        ) -> None:
            data = json.dumps(value).encode() if data is None else data
            self.send_response(status)
            if status in (429, 503) and server.retry_after:
                self.send_header("Retry-After", server.retry_after)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:cut])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler
