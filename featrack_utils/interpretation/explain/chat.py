"""A chat model behind any server that speaks OpenAI's protocol; each answer is kept as a file."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
from tqdm import tqdm

from featrack_utils.errors import FeatrackError

log = logging.getLogger(__name__)

_AT_ONCE = 4  # requests under way
_HIDDEN = 8  # characters; a shorter key is a placeholder, not a secret, and may be a common word
_LOGPROBS = ("logprobs", "top_logprobs")
_THOUGHT = ("<think>", "</think>")


class ChatServer:
    """Asks a server, a few requests at a time, and keeps every answer.

    Args:
        base_url: address of the API, such as http://localhost:8000/v1.
        key_variable: environment variable that holds the key; empty: none is sent.
        answers: folder of the answers; a question is never asked twice while its file is there.
        max_requests: how many questions may be asked, those answered in earlier runs included.
        retries: repetitions of what may pass (no connection, a busy server).
        timeout: seconds without an answer.
    """

    def __init__(
        self,
        base_url: str,
        key_variable: str,
        answers: Path,
        max_requests: int,
        retries: int = 5,
        timeout: float = 120.0,
    ) -> None:
        self._url, self._answers = base_url.rstrip("/"), answers
        self._variable, self._key = key_variable, _key_in(key_variable)
        self._timeout, self._max_requests = timeout, max_requests
        # Without a key of ours the client would send the one in OPENAI_API_KEY to any server.
        self._headers = {} if self._key else {"Authorization": openai.Omit()}
        self._client = openai.OpenAI(
            base_url=self._url,
            api_key=self._key or "none",
            max_retries=retries,
            timeout=timeout,
        )
        self._logprobs = True
        self._lock = threading.Lock()
        self._asked = sum(1 for _ in answers.glob("*.json"))

    def ask(self, requests: Sequence[dict[str, Any]], task: str) -> list[dict[str, Any]]:
        """The answers to some requests, in their order: content and logprobs, as far as given.

        Raises:
            FeatrackError: the server refuses, fails again and again or isn't there, an answer is
                no answer, or `max_requests` is reached. What was answered is kept.
        """
        names = [self._name(request) for request in requests]
        different = dict(zip(names, requests, strict=True))
        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            waiting = {name: pool.submit(self._answer, name, r) for name, r in different.items()}
            found = {name: w.result() for name, w in tqdm(waiting.items(), desc=task)}
        finally:
            # What is under way is waited for, so that it is kept; nothing new starts.
            pool.shutdown(wait=True, cancel_futures=True)
        return [found[name] for name in names]

    def _name(self, request: dict[str, Any]) -> str:
        whole = json.dumps({"url": self._url, "request": request}, sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()

    def _answer(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        path = self._answers / f"{name}.json"
        if path.is_file():
            return _read(path)
        with self._lock:
            if self._asked >= self._max_requests:
                raise FeatrackError(
                    f"{self._asked} questions were asked, as many as interpretation.max_requests "
                    "allows; raise it to go on. What was answered is kept."
                )
            self._asked += 1
        body = self._post(request)
        try:
            choice = body["choices"][0]
            content = _without_thinking(choice["message"]["content"] or "")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise FeatrackError(
                f"{self._url} gave no answer but said: {_words(body, self._key)}"
            ) from None
        answer = {"content": content, "logprobs": choice.get("logprobs")}
        if not content.strip() and choice.get("finish_reason") == "length":
            log.warning("%s: cut off before it said anything; not kept", self._url)
        else:
            _write(path, {"request": request, "answer": answer})
        return answer

    def _post(self, request: dict[str, Any]) -> Any:
        """What the server says to a request it accepts: JSON, or else text."""
        if not self._logprobs:
            request = {name: value for name, value in request.items() if name not in _LOGPROBS}
        # Each error is raised "from None": chained, it would carry request and headers along.
        ask = self._client.chat.completions.with_raw_response.create
        try:
            text = ask(**request, extra_headers=self._headers).text
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise FeatrackError(
                f"{self._url} refuses the key (status {error.status_code}); check the environment "
                "variable that interpretation.key_variable names "
                f"({self._variable or 'none is named'})."
            ) from None
        except openai.APIStatusError as error:
            status, said = error.status_code, _words(_parsed(error.response.text), self._key)
            if status in (400, 422) and "logprobs" in request and "logprobs" in said:
                self._logprobs = False  # a server without them: the written digits have to do
                return self._post(request)
            about = f"with model {request['model']!r} " if status == 404 else ""
            raise FeatrackError(
                f"{self._url} refuses the request {about}(status {status}): {said}"
            ) from None
        except openai.APITimeoutError:
            raise FeatrackError(
                f"{self._url} gave no answer within {self._timeout:g} seconds; try again later. "
                "What was answered is kept."
            ) from None
        except openai.APIConnectionError:
            raise FeatrackError(
                f"There is no server at {self._url}, or it broke off; check interpretation."
                "base_url. What was answered is kept."
            ) from None
        return _without_key(_parsed(text), self._key)


def _key_in(variable: str) -> str:
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise FeatrackError(
            f"The environment variable {variable} that interpretation.key_variable names is not "
            "set; export your key there, or name none for a server that needs no key."
        )
    if not (key.isascii() and key.isprintable()):
        raise FeatrackError(
            f"The environment variable {variable} holds characters that no key has; set it anew."
        )
    return key


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))["answer"]
    except (ValueError, KeyError, TypeError):
        raise FeatrackError(
            f"{path} is damaged; delete it, and the question is asked once more."
        ) from None


def _write(path: Path, kept: dict[str, Any]) -> None:
    """Writes an answer whole or not at all, whatever is killed meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump(kept, file)
    os.replace(file.name, path)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _without_key(value: Any, key: str) -> Any:
    """The same with the key taken out of every text, should the server repeat it."""
    if len(key) < _HIDDEN:
        return value
    return json.loads(json.dumps(value).replace(json.dumps(key)[1:-1], "[key]"))


def _words(body: Any, key: str) -> str:
    """What a server says of an error, in one line: its message, or its page without markup."""
    error = body.get("error", body) if isinstance(body, dict) else body
    said = error.get("message") or error.get("code") if isinstance(error, dict) else error
    said = said if isinstance(said, str) else json.dumps(body)
    said = re.sub(r"<[^>]*>", " ", _without_key(said, key))
    said = "".join(c if c.isprintable() else " " for c in said)
    return " ".join(said.split())[:200].rstrip(".") + "."


def _without_thinking(content: str) -> str:
    """What is said after thinking; spaces stand in for it, as log-probabilities count places."""
    begin, end = _THOUGHT
    start, stop = content.find(begin), content.rfind(end)
    if start == stop == -1:
        return content
    start = max(start, 0)  # some servers leave out where thinking begins
    stop = len(content) if stop < start else stop + len(end)
    return content[:start] + " " * (stop - start) + content[stop:]
