"""An application that starts at once, for tests of what is around it: `python -m tests.serve.light WORKERS [MAKE]`.

It is served by several processes until a signal ends them; the first line it prints is its address.
"""

from __future__ import annotations

import asyncio
import os
import sys
from types import SimpleNamespace
from typing import Any

from altclip.errors import UsageError
from altclip.serve import workers
from altclip.serve.metrics import Metrics
from altclip.serve.settings import Settings


class Light:
    """/ is answered with the process' id, /slow after two seconds; /hang makes it unwell, /die ends the process."""

    def __init__(self) -> None:
        self.state = SimpleNamespace(model=SimpleNamespace(stuck=None), metrics=Metrics())
        self.state.metrics.watch_queue("text", SimpleNamespace(queued=1, busy_for=0.0))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        self.state.metrics.request(scope["path"], "GET", 200, 0.1)  # when it is taken
        match scope["path"]:
            case "/slow":
                await asyncio.sleep(2)
            case "/hang":
                self.state.model.stuck = "its batch does not end"
            case "/die":
                os._exit(7)
        body = self.state.metrics.text() if scope["path"] == "/metrics" else str(os.getpid()).encode()
        headers = [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def refuses() -> Any:
    raise UsageError("there is no such model")


def dies() -> Any:
    os._exit(3)


def tell(where: str) -> None:
    sys.stdout.write(f"{where}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    vars(workers)["_SILENT"] = 2.0
    number, make = int(sys.argv[1]), globals()[sys.argv[2]] if len(sys.argv) > 2 else None
    from tests.serve import light  # not __main__, where the workers would not find it

    made: Any = getattr(light, make.__name__) if make else light.Light
    try:
        workers.serve_workers(made, Settings(port=0, workers=number), tell)
    except UsageError as error:
        sys.exit(f"told: {error}")
