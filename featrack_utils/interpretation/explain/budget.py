"""What questions cost, and a limit on it that holds across kills and later runs."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from featrack_utils.errors import FeatrackError

_MILLION = 1_000_000
_BYTES_A_TOKEN = 3.0  # of prompts like ours, roughly; only for the estimate
_FRAME = 64  # tokens that a server may put around a message


class Prices(NamedTuple):
    """Price of a million tokens, in whatever currency max_cost is in."""

    input_price: float
    output_price: float

    def cost(self, input_tokens: float, output_tokens: float) -> float:
        """What so many tokens cost."""
        return (input_tokens * self.input_price + output_tokens * self.output_price) / _MILLION


class Estimate(NamedTuple):
    """What is still to be asked: numbers, and the cost expected and at most."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost: float
    at_most: float


def prompt_bytes(request: dict[str, Any]) -> int:
    """Size of a request's messages; no tokenizer makes more tokens than there are bytes."""
    return sum(len(message["content"].encode()) for message in request["messages"])


def most_tokens(request: dict[str, Any]) -> tuple[int, int]:
    """Input and output tokens that a request can be charged for at most."""
    frame = _FRAME * len(request["messages"])
    return prompt_bytes(request) + frame, request["max_tokens"]


def estimate(requests: list[dict[str, Any]], prices: Prices) -> Estimate:
    """What these requests will cost; the output is taken to be as long as is allowed."""
    input_tokens = round(sum(map(prompt_bytes, requests)) / _BYTES_A_TOKEN)
    most = [most_tokens(request) for request in requests]
    output_tokens = sum(output for _, output in most)
    return Estimate(
        len(requests),
        input_tokens,
        output_tokens,
        prices.cost(input_tokens, output_tokens),
        sum(prices.cost(*tokens) for tokens in most),
    )


class Budget:
    """Money that may be spent in all, over however many runs share one ledger.

    Before a request is sent, the most that it can cost is set aside, so that requests under way
    count, too; afterwards what it did cost takes its place. A request whose answer was lost (a
    time-out, a kill) may have been charged for, so what was set aside for it stays spent.
    """

    def __init__(self, ledger: Path, max_cost: float, prices: Prices) -> None:
        self._ledger, self._max_cost, self._prices = ledger, max_cost, prices
        self._lock = threading.Lock()
        self._file: TextIO | None = None
        self._cost: dict[int, float] = {}
        self._next = 0

    def __enter__(self) -> Budget:
        self._ledger.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._ledger.open("a", encoding="ascii")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise FeatrackError(
                f"Another run is spending from {self._ledger}; wait until it has finished."
            ) from None
        entries = _entries(self._ledger)
        self._cost, self._next = dict(entries), len(entries)
        self._file.write("\n")  # ends a line that a kill has torn
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    @property
    def spent(self) -> float:
        """What was spent and set aside, in all."""
        return sum(self._cost.values())

    @property
    def left(self) -> float:
        """What may still be spent."""
        return self._max_cost - self.spent

    def reserve(self, request: dict[str, Any]) -> int:
        """Sets aside the most that a request can cost; returns the number to settle it by.

        Raises:
            FeatrackError: that would be more than is left.
        """
        most = self._prices.cost(*most_tokens(request))
        with self._lock:
            if most > self.left:
                raise FeatrackError(
                    f"The budget is used up: {self.spent:.4g} of interpretation.max_cost "
                    f"{self._max_cost:g} is spent or set aside, and the next request may cost "
                    f"{most:.4g}. Raise it to go on; what was answered is kept."
                )
            entry, self._next = self._next, self._next + 1
            self._write(entry, most)
        return entry

    def settle(self, entry: int, usage: dict[str, Any]) -> None:
        """Replaces what was set aside by what the server counted, if it says so."""
        tokens = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        if all(isinstance(n, int) and n >= 0 for n in tokens):
            with self._lock:
                self._write(entry, self._prices.cost(*tokens))

    def release(self, entry: int) -> None:
        """Frees what was set aside for a request that the server refused."""
        with self._lock:
            self._write(entry, 0.0)

    def _write(self, entry: int, cost: float) -> None:
        # On disk before the request is sent: a kill must not forget it.
        self._file.write(json.dumps([entry, cost]) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._cost[entry] = cost


def _entries(ledger: Path) -> list[tuple[int, float]]:
    """Entries in order; a later one replaces an earlier one of the same name."""
    found = []
    for line in ledger.read_text("ascii").splitlines():
        try:
            entry, cost = json.loads(line)
            found.append((int(entry), float(cost)))
        except (ValueError, TypeError):
            # A line torn by a kill: its request was not sent yet, or keeps what was set aside.
            continue
    return found
