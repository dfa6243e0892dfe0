"""A Hugging Face hub on this machine: enough of its interface for a snapshot to be fetched, or refused, for real."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub(ThreadingHTTPServer):
    """Serves `repositories` (id -> file name -> content); `refusals` (id -> status, error code) instead of some.

    `requests` keeps what was asked, and `tokens` with which authorisation.
    """

    def __init__(
        self, repositories: Mapping[str, Mapping[str, bytes]], refusals: Mapping[str, tuple[int, str]]
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories, self.refusals = repositories, refusals
        self.requests: list[str] = []
        self.tokens: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(
    repositories: Mapping[str, Mapping[str, bytes]], refusals: Mapping[str, tuple[int, str]] | None = None
) -> Iterator[FakeHub]:
    with FakeHub(repositories, refusals or {}) as hub:
        Thread(target=hub.serve_forever, daemon=True).start()
        try:
            yield hub
        finally:
            hub.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append(path)
        self.server.tokens.add(self.headers.get("Authorization") or "none")
        api = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/(.+)", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        found = api or file
        if found is None:
            return self._send(404, {"X-Error-Code": "RepoNotFound"}, b"{}", body)
        repository = found.group(1)
        if repository in self.server.refusals:
            status, code = self.server.refusals[repository]
            return self._send(status, {"X-Error-Code": code} if code else {}, b"{}", body)
        files = self.server.repositories.get(repository)
        if files is None:
            return self._send(401, {"X-Error-Code": "RepoNotFound"}, b"{}", body)
        if api is not None:
            return self._listing(api, files, body)
        content = files[found.group(3)]
        etag = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        return self._send(200, etag, content, body)

    def _listing(self, asked: re.Match[str], files: Mapping[str, bytes], body: bool) -> None:
        repository, kind, revision = asked.groups()
        if revision.split("/")[0] not in ("main", "v1", COMMIT):
            return self._send(404, {"X-Error-Code": "RevisionNotFound"}, b"{}", body)
        answer: Any = {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        if kind == "tree":
            answer = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in files.items()
            ]
        return self._send(200, {"Content-Type": "application/json"}, json.dumps(answer).encode(), body)

    def _send(self, status: int, headers: Mapping[str, str], content: bytes, body: bool) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)
