"""A hub on the loopback address for tests: the file protocol of huggingface.co, with faults.

What is asked through `HF_ENDPOINT` by huggingface_hub 2.4 and datasets 5.2: information on a
repository and on its files at a revision, and the files themselves, whole or in ranges.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_API = re.compile(r"/api/(datasets|models)/([\w.-]+/[\w.-]+)(?:/([\w-]+)(?:/([^/]+)(?:/(.*))?)?)?")
_FILE = re.compile(r"/(datasets/)?([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")


class Hub:
    """Answers until the context ends.

    Attributes:
        gated: repositories whose files need a permission that nobody has.
        cuts: by a file's name, after how many bytes an answer with it breaks off, once each.
        log: what was asked: the method, the path and the range.
    """

    def __init__(self) -> None:
        self._commits: dict[str, dict[str, Mapping[str, bytes]]] = {}
        self.gated: set[str] = set()
        self.cuts: dict[str, list[int]] = {}
        self.log: list[str] = []

    def commit(self, repository: str, files: Mapping[str, bytes]) -> str:
        """Puts files into "datasets/owner/name" or "models/owner/name"; its head is the last."""
        content = b"".join(path.encode() + data for path, data in sorted(files.items()))
        sha = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        self._commits.setdefault(repository, {})[sha] = dict(files)
        return sha

    def commit_folder(self, repository: str, folder: Path) -> str:
        """Puts a folder's files into a repository."""
        files = [path for path in folder.rglob("*") if path.is_file()]
        return self.commit(
            repository, {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
        )

    def at(self, repository: str, revision: str) -> tuple[str, Mapping[str, bytes]] | None:
        """A revision's commit and files; None where there is no such revision."""
        commits = self._commits[repository]
        sha = [*commits][-1] if revision == "main" else revision
        return (sha, commits[sha]) if sha in commits else None

    def has(self, repository: str) -> bool:
        return repository in self._commits

    def environment(self, home: Path) -> dict[str, str]:
        """What makes a child process ask here."""
        offline = {"HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"}
        kept = {name: value for name, value in os.environ.items() if name not in offline}
        given = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
        return kept | given | {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

    def __enter__(self) -> Hub:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _entries(files: Mapping[str, bytes], below: str, recursive: bool) -> list[dict[str, Any]]:
    """What a folder of a repository holds, as the hub lists it."""
    start = f"{below}/" if below else ""
    inside = [path.removeprefix(start) for path in files if path.startswith(start)]
    folders = {part for path in inside for part in _folders(path)}
    shown = inside if recursive else [path for path in inside if "/" not in path]
    seen = folders if recursive else {path for path in folders if "/" not in path}
    entries = [{"type": "directory", "path": start + path, "oid": ""} for path in sorted(seen)]
    return entries + [_entry(files, start + path) for path in sorted(shown)]


def _folders(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def _entry(files: Mapping[str, bytes], path: str) -> dict[str, Any]:
    return {"type": "file", "path": path, "oid": _oid(files[path]), "size": len(files[path])}


def _oid(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer waits forty milliseconds for its end

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            path = unquote(parts.path)
            hub.log.append(f"{self.command} {path} {self.headers.get('Range') or ''}".strip())
            if api := _API.fullmatch(path):
                kind, name, what, revision, below = api.groups()
                self._about(f"{kind}/{name}", what, revision or "main", below or "", parts, body)
            elif file := _FILE.fullmatch(path):
                kind = (file[1] or "models/") + file[2]
                self._file(kind, file[3], file[4])
            else:
                self._refuse(404, "", "no such page")

        def _found(self, repository: str, revision: str) -> tuple[str, Mapping[str, bytes]] | None:
            if not hub.has(repository):
                # Without a login the real one doesn't tell what is missing from what is private.
                self._refuse(401, "RepoNotFound", "Invalid username or password.")
            elif found := hub.at(repository, revision):
                return found
            else:
                self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None

        def _about(
            self, repository: str, what: str, revision: str, below: str, parts: Any, body: bytes
        ) -> None:
            if not (found := self._found(repository, revision)):
                return
            sha, files = found
            match what:
                case None | "revision":
                    gated = "auto" if repository in hub.gated else False
                    about = {"id": repository.split("/", 1)[1], "sha": sha, "private": False}
                    about |= {"gated": gated, "tags": [], "downloads": 0, "likes": 0}
                    self._json(about | {"siblings": [{"rfilename": path} for path in files]})
                case "auth-check":
                    self._gate(repository) or self._json({})
                case "tree":
                    recursive = parse_qs(parts.query).get("recursive", ["false"])[0].lower()
                    entries = _entries(files, below, recursive in ("true", "1"))
                    if below and not entries:
                        self._refuse(404, "EntryNotFound", f"{below} does not exist")
                    else:
                        self._json(entries)
                case "paths-info":
                    asked = parse_qs(body.decode()).get("paths") or json.loads(body)["paths"]
                    every = {entry["path"]: entry for entry in _entries(files, "", True)}
                    self._json([every[path] for path in asked if path in every])
                case _:
                    self._refuse(404, "", "no such page")

        def _gate(self, repository: str) -> bool:
            if repository in hub.gated:
                self._refuse(401, "GatedRepo", f"Access to {repository} is restricted.")
            return repository in hub.gated

        def _file(self, repository: str, revision: str, path: str) -> None:
            if not (found := self._found(repository, revision)) or self._gate(repository):
                return
            sha, files = found
            if path not in files:
                self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": sha})
                return
            data = files[path]
            headers = {"X-Repo-Commit": sha, "ETag": f'"{_oid(data)}"', "Accept-Ranges": "bytes"}
            status, start, end = 200, 0, len(data)
            if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
                status, start = 206, int(asked[1])
                end = min(end, int(asked[2]) + 1) if asked[2] else end
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
            self._send(status, data[start:end], headers, Path(path).name)

        def _refuse(
            self, status: int, code: str, message: str, more: Mapping[str, str] | None = None
        ) -> None:
            headers = {"X-Error-Code": code, "X-Error-Message": message} | dict(more or {})
            self._send(status, json.dumps({"error": message}).encode(), headers)

        def _json(self, value: Any) -> None:
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _send(
            self, status: int, data: bytes, headers: Mapping[str, str], name: str = ""
        ) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "HEAD":
                return
            cuts = hub.cuts.get(name, [])
            if cuts and cuts[0] < len(data):
                self.wfile.write(data[: cuts.pop(0)])
                self.close_connection = True
            else:
                self.wfile.write(data)

    return Handler
