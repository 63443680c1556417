"""A chat model, behind any server that speaks OpenAI's protocol.

Each answer is kept as a file, and the key in none.
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
from tqdm import tqdm

from featrack_utils.errors import FeatrackError

LONGEST = 100  # characters of an explanation, whoever writes it
_MOST_TOKENS = 2048  # of an answer; models that think first need many before they say anything
_AT_ONCE = 4  # requests under way
_MOST_WORDS = 300  # characters of what a server says of an error
RETRIES = 5  # of what may pass: no connection, a busy server
TIMEOUT = 120.0  # seconds without an answer
_THOUGHTS = re.compile(r".*</think>|<think>.*", re.DOTALL)  # some servers leave out the first mark


def one_line(text: str, longest: int = LONGEST) -> str:
    """A text on one line, nothing invisible in it, cut to so many characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


class ChatServer:
    """Asks a server, a few requests at a time, and keeps every answer.

    Args:
        base_url: address of the API, such as http://localhost:8000/v1.
        chat_model: the model's name there.
        key_variable: environment variable that holds the key; empty: none is sent.
        answers: folder of the answers; a question is never asked twice while its file is there.
        max_requests: how many questions may be asked, those answered in earlier runs included.
    """

    def __init__(
        self, base_url: str, chat_model: str, key_variable: str, answers: Path, max_requests: int
    ) -> None:
        self._url, self._chat_model = base_url.rstrip("/"), chat_model
        self._answers, self._max_requests = answers, max_requests
        self._key = _key_in(key_variable)
        key = self._key or "none"  # else the client would send the one in OPENAI_API_KEY
        try:
            self._client = openai.OpenAI(
                base_url=self._url, api_key=key, max_retries=RETRIES, timeout=TIMEOUT
            )
        except Exception as error:  # of the address, or of proxies and certificates around it
            raise FeatrackError(
                f"No client for {self._url} ({self._words(error)}); check interpretation.base_url "
                "and the variables ALL_PROXY, HTTPS_PROXY and SSL_CERT_FILE."
            ) from None
        self._lock = threading.Lock()
        self._asked = sum(1 for _ in answers.glob("*.json"))
        self._unsaid: set[Path] = set()  # where an answer would lie that was empty

    def ask(self, system: str, prompts: Sequence[str]) -> list[str]:
        """What is said to some prompts, in their order.

        Raises:
            FeatrackError: the server refuses, fails again and again or isn't there, an answer is
                no answer, or `max_requests` is reached. What was answered is kept.
        """
        different = list(dict.fromkeys(prompts))
        # After a failure what is under way is waited for, so that it is kept; nothing new starts.
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = pool.map(lambda prompt: self._answer(system, prompt), different)
            bar = tqdm(answers, "asking", len(different), disable=len(different) < 2)
            found = dict(zip(different, bar, strict=True))
        return [found[prompt] for prompt in prompts]

    def _answer(self, system: str, prompt: str) -> str:
        request = {
            "model": self._chat_model,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": prompt},
            ],
            "max_tokens": _MOST_TOKENS,
            "temperature": 0,
        }
        asked = json.dumps({"url": self._url, "request": request}, sort_keys=True)
        path = self._answers / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"
        if path in self._unsaid:
            return ""
        if path.is_file():
            try:
                return json.loads(path.read_text("utf-8"))["answer"]
            except (ValueError, KeyError):
                raise FeatrackError(
                    f"{path} is damaged; delete it, and the question is asked once more."
                ) from None
        with self._lock:
            if self._asked >= self._max_requests:
                raise FeatrackError(
                    f"{self._asked} questions were asked, as many as interpretation.max_requests "
                    "allows; raise it to go on. What was answered is kept."
                )
            self._asked += 1
        said = self._post(request)
        if not said.strip():  # cut off while it thought: a later run may ask again, this one not
            self._unsaid.add(path)
            return ""
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written whole or not at all, whatever is killed meanwhile.
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps({"request": request, "answer": said}), "utf-8")
        unfinished.replace(path)
        return said

    def _post(self, request: dict[str, Any]) -> str:
        """What the server says, without its thoughts and the key."""
        # Each error is raised "from None": chained, it would carry request and headers along.
        reply: object = "nothing that could be read"
        try:
            reply = self._client.chat.completions.create(**request)
            said = self._without_key(reply.choices[0].message.content or "")
            return _THOUGHTS.sub("", said)
        except openai.APIStatusError as error:
            what = f"the request with model {self._chat_model!r}"
            if error.status_code in (401, 403):
                what = "the key in the variable that interpretation.key_variable names"
            said = str(error) if " - " in str(error) else f"{error} - {error.response.text}"
            raise FeatrackError(f"{self._url} refuses {what}: {self._words(said)}") from None
        except openai.APIConnectionError:
            raise FeatrackError(
                f"No server answers at {self._url}; check interpretation.base_url, or try again "
                "later. What was answered is kept."
            ) from None
        except (AttributeError, LookupError, TypeError, ValueError):  # a page, an error, no choices
            raise FeatrackError(
                f"{self._url} gave no answer but said: {self._words(reply)}"
            ) from None

    def _words(self, of: object) -> str:
        return one_line(self._without_key(str(of)), _MOST_WORDS)

    def _without_key(self, text: str) -> str:
        # A short key is a placeholder, not a secret, and may be a common word.
        return text.replace(self._key, "[key]") if len(self._key) >= 8 else text


def _key_in(variable: str) -> str:
    key = os.environ.get(variable, "").strip() if variable else ""
    # No quotation mark or backslash, which JSON would escape.
    if variable and not re.fullmatch(r"[!#-\[\]-~]+", key):
        raise FeatrackError(
            f"The environment variable {variable} that interpretation.key_variable names holds no "
            "key; export yours there, or name none for a server that needs no key."
        )
    return key
