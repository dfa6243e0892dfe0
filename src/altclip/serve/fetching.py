"""Images fetched from addresses that clients name, public ones alone. The one file that imports httpcore2.

What is checked is what is connected to: each connection resolves its name anew, refuses it if any of the addresses is
not public, and goes to one of those that it has seen, so that no name can mean something else a moment later. Redirects
are followed here, one by one, each by a connection of its own. Errors are the same for what is forbidden and for what
is not there, so that nobody learns by them how the network around the server looks.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

from altclip.errors import MissingExtraError
from altclip.serve.addresses import is_public

if TYPE_CHECKING:
    import httpcore2

Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
Allowed: TypeAlias = Callable[[str, int], bool]  # of an address in numbers, and a port
_ASCII: Final = re.compile(r"[!-\[\]-~]+")  # no spaces, no controls, no backslash: what parsers disagree about
_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = 3
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_AT_ONCE: Final = 8
_NOT_HAD: Final = "cannot be fetched: expected an image at a public http or https address, ports 80 and 443 alone"
_HEADERS: Final = [("user-agent", "altclip"), ("accept", "image/*"), ("accept-encoding", "identity")]


class UnfetchableError(Exception):
    """reason: for the client; a part of a sentence."""

    def __init__(self, reason: str = _NOT_HAD) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Budget:
    """How many bytes may still come for one request."""

    left: int

    def spend(self, number: int) -> None:
        """Raise UnfetchableError if that is too much."""
        self.left -= number
        if self.left < 0:
            raise UnfetchableError("leads to more bytes than this server takes in a request")


class Fetcher:
    """Fetches. seconds: for each address, its redirects included."""

    def __init__(self, seconds: float, resolve: Resolve | None = None, allowed: Allowed | None = None) -> None:
        self._library = _httpcore()
        backend = _backend(self._library, resolve or _resolved, allowed or _is_allowed)
        self._seconds = seconds
        self._pool = self._library.AsyncConnectionPool(
            ssl_context=self._library.default_ssl_context(), network_backend=backend,
            max_connections=_AT_ONCE, max_keepalive_connections=0,
        )  # fmt: skip
        self._failures = (
            self._library.NetworkError, self._library.ProtocolError, self._library.TimeoutException,
            self._library.UnsupportedProtocol, OSError, ValueError,
        )  # fmt: skip

    async def fetch(self, address: str, budget: Budget) -> bytes:
        """What lies there. Raises UnfetchableError."""
        try:
            async with asyncio.timeout(self._seconds):
                for _ in range(1 + _REDIRECTS):
                    found = await self._got(_parts(address), budget)
                    if isinstance(found, bytes):
                        return found
                    address = _next(address, found.location)
        except TimeoutError:
            raise UnfetchableError(f"did not answer within {self._seconds:g} s") from None
        except self._failures:
            raise UnfetchableError from None
        raise UnfetchableError(f"leads on more than {_REDIRECTS} times")

    async def _got(self, parts: SplitResult, budget: Budget) -> bytes | _Moved:
        url = self._library.URL(
            scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=_target(parts)
        )  # fmt: skip
        async with self._pool.stream("GET", url, headers=_HEADERS) as response:
            headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
            if response.status in _MOVED and b"location" in headers:
                return _Moved(headers[b"location"])
            if response.status != 200:
                raise UnfetchableError(f"answers {response.status}")
            if headers.get(b"content-encoding", "identity").lower() != "identity":
                raise UnfetchableError("answers in an encoding that was not asked for")
            data = bytearray()
            async for part in response.aiter_stream():
                budget.spend(len(part))
                data += part
            return bytes(data)

    async def close(self) -> None:
        """Close what is open."""
        await self._pool.aclose()


@dataclass(frozen=True)
class _Moved:
    location: str


def _parts(address: str) -> SplitResult:
    """Raise UnfetchableError unless it is http or https and names a host and nothing that is not needed."""
    if len(address) > 4096 or not _ASCII.fullmatch(address):
        raise UnfetchableError
    parts = urlsplit(address)  # ValueError for brackets that hold no address; `port` gives it for what is no port
    if parts.scheme not in _PORTS or not parts.hostname or parts.port == 0 or set("@%") & set(parts.netloc):
        raise UnfetchableError
    return parts


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _next(address: str, location: str) -> str:
    """Where a redirect leads. From https it may not lead to http."""
    led = urljoin(address, location)
    if urlsplit(address).scheme == "https" and urlsplit(led).scheme != "https":
        raise UnfetchableError
    return led


async def _resolved(host: str, port: int) -> list[str]:
    """All addresses of a name, in numbers. Odd spellings of numbers (octal, hexadecimal, one number) are read here."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_allowed(address: str, port: int) -> bool:
    return port in _PORTS.values() and is_public(address)


def _backend(library: Any, resolve: Resolve, allowed: Allowed) -> httpcore2.AsyncNetworkBackend:
    """Connects to addresses that are allowed, and to nothing else."""

    class Checked(library.AsyncNetworkBackend):  # type: ignore[misc]
        def __init__(self) -> None:
            self._inner = library.AnyIOBackend()

        async def connect_tcp(
            self, host: str, port: int, timeout: float | None = None,
            local_address: str | None = None, socket_options: Iterable[Any] | None = None,
        ) -> Any:  # fmt: skip
            addresses = await resolve(host, port)
            if not addresses or not all(allowed(address, port) for address in addresses):
                raise UnfetchableError
            for address in addresses[:-1]:
                try:
                    return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
                except (library.NetworkError, library.TimeoutException):
                    continue
            return await self._inner.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

        async def connect_unix_socket(self, *_: Any, **__: Any) -> Any:
            raise UnfetchableError

        async def sleep(self, seconds: float) -> None:
            await self._inner.sleep(seconds)

    return Checked()


def _httpcore() -> Any:
    try:
        import httpcore2
    except ImportError as error:
        raise MissingExtraError("httpcore2", "serve") from error
    return httpcore2
