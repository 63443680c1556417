"""Answers that were paid for, kept: one file per request, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from featrack_utils.errors import FeatrackError


class Answers:
    """Answers by request. The address and the whole request are the key; no secret is in either."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self._folder, self._base_url = folder, base_url

    def _path(self, request: dict[str, Any]) -> Path:
        whole = json.dumps({"url": self._base_url, "request": request}, sort_keys=True)
        name = hashlib.sha256(whole.encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.json"

    def get(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to exactly this request, if there is one.

        Raises:
            FeatrackError: its file is damaged.
        """
        path = self._path(request)
        try:
            kept = json.loads(path.read_text("utf-8"))
            if kept["request"] == request:
                return kept["answer"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            pass
        raise FeatrackError(
            f"{path} is damaged or foreign; delete it, and the question is asked "
            "(and paid for) once more."
        )

    def put(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        """Keeps an answer."""
        path = self._path(request)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"request": request, "answer": answer}, ensure_ascii=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(text)
        os.replace(file.name, path)
