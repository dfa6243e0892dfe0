"""The words of ASGI that the layers around the application speak."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from altclip.serve.refusals import Refusal, encoded

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def header(scope: Scope, name: bytes) -> str | None:
    """The header of that name, in lower case; None too where it comes twice, for which of them counts is a guess."""
    found = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return found[0] if len(found) == 1 else None


async def refuse(refusal: Refusal, send: Send, *, close: bool = False) -> None:
    """Answer with an error. close: end the connection, for a body may still be coming."""
    body = encoded(refusal.body)
    headers = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
    if close:
        headers["connection"] = "close"
    pairs = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
