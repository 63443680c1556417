"""A chat model behind any server that speaks OpenAI's protocol: asked patiently, paid for once."""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)
from tqdm import tqdm

from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.explain.budget import Budget
from featrack_utils.interpretation.explain.cache import Answers

log = logging.getLogger(__name__)

_AT_ONCE = 4  # requests under way
_ATTEMPTS = 6
_TIMEOUT = 120.0  # seconds without an answer
_LONGEST_WAIT = 120.0  # seconds that a server may ask to wait
_HIDDEN = 8  # characters; a shorter key is a placeholder, not a secret, and may be a common word
_LOGPROBS = ("logprobs", "top_logprobs")
_PASSING = {408, 409, 425, 429}  # refusals that may pass, as may every 5xx


class _PassingError(Exception):
    """A failure that may pass; `wait` is what the server asked for, in seconds."""

    def __init__(self, said: str, wait: float | None = None) -> None:
        super().__init__(said)
        self.wait = wait


class Endpoint:
    """Asks a server, a few requests at a time, and keeps every answer.

    Args:
        base_url: address of the API, such as http://localhost:8000/v1.
        key_variable: environment variable that holds the key; empty: none is sent.
        answers, budget: see there; the budget must be open.
        per_minute: requests that are started in a minute at most.
        first_wait: seconds before the first repetition, doubled with each, plus a random part.
    """

    def __init__(
        self,
        base_url: str,
        key_variable: str,
        answers: Answers,
        budget: Budget,
        per_minute: int,
        first_wait: float = 1.0,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._url, self._answers, self._budget = base_url.rstrip("/"), answers, budget
        self._key = _key(key_variable)
        self._variable = key_variable
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._client = httpx.Client(headers=headers, timeout=timeout)
        self._logprobs = True
        self._pace = _Pace(60 / per_minute)
        self._backoff = wait_exponential_jitter(multiplier=first_wait, max=60, jitter=first_wait)

    def ask(self, requests: Sequence[dict[str, Any]], task: str) -> list[dict[str, Any]]:
        """The answers to some requests, in their order: the first choice, and the usage.

        Raises:
            FeatrackError: the budget is used up, the server refuses, or it fails again and again.
        """
        names = [json.dumps(request, sort_keys=True) for request in requests]
        different = dict(zip(names, requests, strict=True))
        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            waiting = {name: pool.submit(self._answer, each) for name, each in different.items()}
            found = {name: w.result() for name, w in tqdm(waiting.items(), desc=task)}
            return [found[name] for name in names]
        finally:
            # What is under way is waited for, so that it is paid for once; nothing new starts.
            pool.shutdown(wait=True, cancel_futures=True)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if (kept := self._answers.get(request)) is not None:
            return kept
        retrying = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=self._wait,
            retry=retry_if_exception_type(_PassingError),
            reraise=True,
        )
        try:
            answer = retrying(self._attempt, request)
        except _PassingError as failure:
            raise FeatrackError(
                f"{self._url} failed {_ATTEMPTS} times, at last with: {failure}. "
                "Try again later; what was answered is kept."
            ) from None
        self._answers.put(request, answer)
        return answer

    def _wait(self, state: RetryCallState) -> float:
        asked = state.outcome.exception().wait
        log.info("%s: %s; asked again", self._url, state.outcome.exception())
        return self._backoff(state) if asked is None else asked

    def _attempt(self, request: dict[str, Any]) -> dict[str, Any]:
        if not self._logprobs:
            request = {k: v for k, v in request.items() if k not in _LOGPROBS}
        self._pace.wait()
        entry = self._budget.reserve(request)
        try:
            response = self._client.post(f"{self._url}/chat/completions", json=request)
        except httpx.RequestError as error:
            if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                self._budget.release(entry)
            # Chained or quoted, the error would carry the request along.
            raise _PassingError(f"no whole answer ({type(error).__name__})") from None
        if response.status_code != 200:
            self._budget.release(entry)
            self._refused(response)
        try:
            body = _without(response.json(), self._key)
            answer = {"choice": body["choices"][0], "usage": body.get("usage") or {}}
            content = answer["choice"]["message"]["content"]
            self._budget.settle(entry, answer["usage"])
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise _PassingError("an answer that can't be read") from None
        if not isinstance(content, str | None):
            raise _PassingError("an answer that is no text")
        return answer

    def _refused(self, response: httpx.Response) -> None:
        status = response.status_code
        said = _without(response.text, self._key)
        said = " ".join("".join(c if c.isprintable() else " " for c in said).split())[:200]
        if status in (401, 403):
            raise FeatrackError(
                f"{self._url} refuses the key (status {status}); check the environment variable "
                f"that interpretation.key_variable names ({self._variable or 'none is named'})."
            )
        if status in (400, 422) and self._logprobs and "logprobs" in said:
            self._logprobs = False  # a server without them: the written digits have to do
            raise _PassingError("log-probabilities refused", wait=0.0)
        passing = status in _PASSING or status >= 500
        if not passing or "insufficient_quota" in said:
            raise FeatrackError(f"{self._url} refuses the request (status {status}): {said}.")
        wait = _seconds(response.headers.get("retry-after"))
        if wait is not None and wait > _LONGEST_WAIT:
            raise FeatrackError(
                f"{self._url} asks to wait {wait:.0f} seconds; try again then. "
                "What was answered is kept."
            )
        if wait is not None:
            self._pace.hold(wait)
        raise _PassingError(f"status {status}", wait)


class _Pace:
    """Starts no two requests closer than an interval, whichever thread they come from."""

    def __init__(self, interval: float) -> None:
        self._interval, self._next = interval, 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Returns when it is this request's turn."""
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + self._interval
        time.sleep(max(turn - time.monotonic(), 0))

    def hold(self, seconds: float) -> None:
        """Lets nobody start for a while."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


def _key(variable: str) -> str:
    if not variable:
        return ""
    if not (key := os.environ.get(variable, "").strip()):
        raise FeatrackError(
            f"The environment variable {variable} that interpretation.key_variable names is not "
            "set; export your key there, or name none for a server that needs no key."
        )
    if not (key.isascii() and key.isprintable()):
        raise FeatrackError(
            f"The environment variable {variable} holds characters that no key has; set it anew."
        )
    return key


def _without(value: Any, key: str) -> Any:
    """The same with the key taken out of every text, should the server repeat it."""
    if len(key) < _HIDDEN:
        return value
    if isinstance(value, str):
        return value.replace(key, "[key]")
    if isinstance(value, list):
        return [_without(each, key) for each in value]
    if isinstance(value, dict):
        return {_without(name, key): _without(each, key) for name, each in value.items()}
    return value


def _seconds(retry_after: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: a number, or a date; None: neither."""
    try:
        wait = float(retry_after)
    except (TypeError, ValueError):
        try:
            until = parsedate_to_datetime(retry_after)
            wait = (until - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):  # none given, no date, or a date without a time zone
            return None
    return None if math.isnan(wait) else max(wait, 0.0)
