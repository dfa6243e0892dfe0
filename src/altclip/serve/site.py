"""The page: its files, given to everybody, and what it must know before it has a key.

It stands before the layer that asks for keys. Files go by a fixed table of names: no path comes from a client. The
page's own content policy lets no script run but its files, and no string become markup (Trusted Types).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import SimpleNamespace
from typing import Any, Final

from altclip.languages import LANGUAGES
from altclip.serve.asgi import App, Receive, Scope, Send, header
from altclip.serve.refusals import encoded, error_body

STATE: Final = "/page/state.json"
_SCRIPTS: Final = (
    "api", "bars", "chips", "dom", "filters", "generate", "grid", "key", "main", "notices", "pictures", "query",
    "results", "theme", "view", "words",
)  # fmt: skip
_STYLES: Final = ("base", "grid", "search", "view")
_KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
# path of the address -> name of the file
NAMES: Final[Mapping[str, str]] = {
    "/": "index.html",
    "/page/icon.svg": "icon.svg",
    **{f"/page/{name}.js": f"{name}.js" for name in _SCRIPTS},
    **{f"/page/{name}.css": f"{name}.css" for name in _STYLES},
    **{f"/page/words/{language}.json": f"words/{language}.json" for language in LANGUAGES},
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)


@dataclass(frozen=True)
class File:
    """A file as it is sent. tag: changes when it does."""

    data: bytes
    kind: str
    tag: str


class Site:
    """Answers for the page; everything else goes on to the application.

    state: what `/page/state.json` tells.
    """

    def __init__(self, app: App, state: Mapping[str, Any]) -> None:
        self._app = app
        self._files = {path: _read(name) for path, name in NAMES.items()}
        self._files[STATE] = _file(json.dumps(state).encode("ascii"), "json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or path not in self._files:
            await self._app(scope, receive, send)
            return
        scope["route"] = SimpleNamespace(path=path if path in ("/", STATE) else "/page/{file}")  # for metrics and log
        if scope["method"] not in ("GET", "HEAD"):
            await _only_read(send)
            return
        await _give(self._files[path], scope, send)


async def _give(file: File, scope: Scope, send: Send) -> None:
    tag = f'"{file.tag}"'
    known = tag in (header(scope, b"if-none-match") or "").replace("W/", "").split(", ")
    headers = {"etag": tag, "cache-control": "no-cache", "content-security-policy": _POLICY}
    if not known:
        headers |= {"content-type": file.kind, "content-length": str(len(file.data))}
    pairs = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 304 if known else 200, "headers": pairs})
    await send({"type": "http.response.body", "body": b"" if known or scope["method"] == "HEAD" else file.data})


async def _only_read(send: Send) -> None:
    body = encoded(error_body(405, "the page is read with GET", "method_not_allowed"))
    headers = [(b"allow", b"GET, HEAD"), (b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 405, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _read(name: str) -> File:
    return _file(files("altclip.serve").joinpath("page").joinpath(name).read_bytes(), name.rpartition(".")[2])


def _file(data: bytes, ending: str) -> File:
    return File(data, _KINDS[ending], hashlib.sha256(data).hexdigest()[:16])
