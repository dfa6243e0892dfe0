"""Around everything: security headers on each answer, a count and a line for each, and no error that shows its inside.

A line tells route, status, time, and who; never an address with its query, a text, an image or an error's message,
which may quote what was sent.
"""

from __future__ import annotations

import logging
import time
import traceback
from typing import Final

from altclip.serve.asgi import App, Message, Receive, Scope, Send, refuse
from altclip.serve.metrics import Metrics
from altclip.serve.refusals import Refusal

LOGGER: Final = logging.getLogger("altclip.serve")
LEFT: Final = 499  # nginx' word for a client that did not wait
_METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Observed:
    """The outermost layer."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), LEFT

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_ours(message.get("headers", []))
            await send(message)

        try:
            await self._app(scope, receive, dressed)
        except Exception as error:  # noqa: BLE001 - the client gets 500 without its inside, the log its place
            LOGGER.error("%s in %s", type(error).__name__, _places(error))
            if status == LEFT:
                await refuse(Refusal(500, "the server failed at this; its log says where", code="failed"), dressed)
        finally:
            self._note(scope, status, time.perf_counter() - begin)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.request(route, method, status, seconds)
        caller = getattr(scope.get("state", {}).get("caller"), "name", "-")
        LOGGER.info("%s %s %d %.1f ms %s", method, route, status, seconds * 1000, caller)


def _with_ours(given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    names = {name.lower() for name, _ in given}
    ours = {**_HEADERS, "cache-control": "no-store"}
    pairs = [(name.encode("ascii"), value.encode("ascii")) for name, value in ours.items()]
    return [*given, *(pair for pair in pairs if pair[0] not in names)]


def _places(error: BaseException) -> str:
    """Files, lines and functions, the innermost last; no messages and no values."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return " > ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames)
