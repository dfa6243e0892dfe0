"""A server running: where it may listen, and the one file that imports uvicorn."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import sys
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from altclip.errors import AltclipError, MissingExtraError, UsageError
from altclip.serve.keys import KeyRing
from altclip.serve.observing import LOGGER
from altclip.serve.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

GRACE: Final = 5  # seconds for the last answers to be sent
_WAITING: Final = 2048  # connections that the kernel keeps until they are accepted


def check_address(settings: Settings, keys: KeyRing) -> None:
    """Raise UsageError where others could reach the server and nobody would ask them for a key."""
    if keys or settings.without_keys or is_loopback(settings.host):
        return
    raise UsageError(
        f"--host {settings.host} can be reached by others, and there are no keys: make one with "
        "`altclip serve --keys FILE --new-key NAME:read` and give --keys FILE, or say --without-keys"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_installed() -> None:
    """Raise MissingExtraError without the library."""
    _uvicorn()


def listening(settings: Settings) -> socket.socket:
    """The socket that clients connect to. Raises UsageError where it cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    host = settings.host.strip("[]")
    try:
        return socket.create_server((host, settings.port), family=family, backlog=_WAITING)
    except OSError as error:
        message = f"{settings.host}:{settings.port} cannot be listened at ({error.strerror}): take another --port"
        raise UsageError(message) from error


def address(sock: socket.socket, settings: Settings) -> str:
    """As a client writes it."""
    host = f"[{settings.host.strip('[]')}]" if ":" in settings.host else settings.host
    return f"http://{host}:{sock.getsockname()[1]}"


def make_server(
    app: FastAPI,
    settings: Settings,
    started: Callable[[], object] | None = None,
    every_second: Callable[[], Awaitable[None]] | None = None,
    fair: bool = False,
) -> Any:
    """A `uvicorn.Server`; its `run(sockets=[...])` serves until it is told to end.

    started: called when it serves. every_second: called then on. fair: take one connection at a time of those that
    wait, for other processes take from the same socket.
    """
    uvicorn = _uvicorn()

    class Server(uvicorn.Server):  # type: ignore[misc, name-defined]
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                for sock in sockets:
                    sock.listen(_WAITING)  # `backlog` is both how many asyncio takes at once and how many may wait
                if started is not None:
                    started()

    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, date_header=True,
        proxy_headers=bool(settings.proxies), forwarded_allow_ips=settings.proxies or None,
        limit_concurrency=settings.connections, timeout_keep_alive=20, lifespan="on", ws="none",
        timeout_graceful_shutdown=int(settings.shutdown) + GRACE, backlog=1 if fair else _WAITING,
        callback_notify=every_second, timeout_notify=0,
    )  # fmt: skip
    return Server(config)


def prepare_log() -> None:
    """Lines of requests on stderr; none of damaged images."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    LOGGER.setLevel(logging.INFO)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged files: they quote what was sent


def serve(app: FastAPI, settings: Settings, started: Callable[[str], object] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; what was taken is finished. started: told the address.

    Raises:
        UsageError: the address cannot be listened at.
        AltclipError: it did not start.
        MissingExtraError: without the extra `serve`.
    """
    prepare_log()
    with listening(settings) as sock:
        where = address(sock, settings)
        server = make_server(app, settings, lambda: started(where) if started else None)
        with suppress(KeyboardInterrupt, SystemExit):  # told to end, which uvicorn passes on at last; or no start
            server.run(sockets=[sock])
    if not server.started:
        raise AltclipError("the server did not start; the lines above say why")
    if not app.state.finished:
        LOGGER.error("a batch did not end within %g s, and is given up", settings.shutdown)
        sys.stderr.flush()
        os._exit(1)  # its thread cannot be ended, and the interpreter would wait for it


def _uvicorn() -> Any:
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtraError("uvicorn", "serve") from error
    return uvicorn
