"""What every request passes before the application sees it: its key, its rate, its body; and if its client leaves.

The key comes first: who may not ask need not send a body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

from altclip.serve.asgi import App, Message, Receive, Scope, Send, header, refuse
from altclip.serve.keys import Caller, KeyRing
from altclip.serve.rates import Rates
from altclip.serve.refusals import Refusal
from altclip.serve.settings import Settings

# What an orchestrator asks, which has no key. They tell nothing and are answered from memory for a second.
OPEN: Final = frozenset({"/healthz", "/readyz"})
_MOST_OPEN: Final = 1024  # bytes of a body that has no use, of somebody who needs no key


class Admission:
    """Lets in who has a key, if there are keys, and no more often than `rate` says."""

    def __init__(self, app: App, keys: KeyRing, settings: Settings) -> None:
        self._app, self._keys = app, keys
        self._rates = Rates(settings.rate, settings.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        address = str((scope.get("client") or ("unknown",))[0])
        try:
            caller = self._caller(scope, address)
            wait = self._rates.wait(f"{'key' if self._keys else 'address'} {caller.name}")
            if wait:
                raise Refusal(429, "too many requests from this caller", code="rate_limited", retry_after=wait)
        except Refusal as refusal:
            await refuse(refusal, send, close=True)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    def _caller(self, scope: Scope, address: str) -> Caller:
        if not self._keys:
            return Caller(address, "write")
        kind, _, secret = (header(scope, b"authorization") or "").partition(" ")
        found = self._keys.caller(secret.strip()) if kind.lower() == "bearer" else None
        if found is None:
            wait = self._rates.wait(f"stranger {address}")
            if wait:
                raise Refusal(429, "too many requests from this address", code="rate_limited", retry_after=wait)
            said = "this key is not known" if secret else "expected a key, as `Authorization: Bearer KEY`"
            raise Refusal(401, said, code="invalid_api_key")
        return found


class Bodies:
    """Reads the body, no more and no longer than allowed; then gives the application up when the client leaves."""

    def __init__(self, app: App, settings: Settings) -> None:
        self._app, self._most, self._seconds = app, settings.max_body, settings.body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._body(scope, receive)
        except Refusal as refusal:
            await refuse(refusal, send, close=True)
            return
        if body is not None:
            await self._answered(scope, body, receive, send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """All of it; None if the client left."""
        length = header(scope, b"content-length")
        most = min(self._most, _MOST_OPEN) if scope["path"] in OPEN else self._most
        if length is not None and length.isdecimal() and int(length[:20]) > most:
            raise _too_large(most)
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._seconds):
                while (message := await receive())["type"] == "http.request":
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise _too_large(most)
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            raise Refusal(408, f"the body did not come within {self._seconds:g} s", code="slow_body") from None
        return None

    async def _answered(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        complete = False

        async def given() -> Message:
            return whole.pop() if whole else await asyncio.shield(gone)

        async def sent(message: Message) -> None:
            nonlocal complete
            complete = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        gone = asyncio.ensure_future(_disconnect(receive))
        work = asyncio.ensure_future(_awaited(self._app(scope, given, sent)))
        try:
            await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not complete:  # a server says so too once all is sent
                work.cancel()
            await asyncio.wait({work})
        finally:
            gone.cancel()
            work.cancel()
        if not work.cancelled():
            work.result()


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the body is over {most} bytes, the most that is taken", code="body_too_large")


async def _disconnect(receive: Receive) -> Message:
    """The message that the client has left."""
    while (message := await receive())["type"] != "http.disconnect":
        pass
    return message


async def _awaited(work: Awaitable[None]) -> None:
    await work
