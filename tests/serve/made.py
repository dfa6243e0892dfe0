"""Servers on loopback in a thread, and what is sent to them."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from PIL import Image

from altclip.encoder import Encoder
from altclip.serve.app import create_app
from altclip.serve.running import address, listening, make_server
from altclip.serve.settings import Settings
from tests.bad import picture
from tests.tiny import tiny_model, tiny_processor


def tiny_encoder() -> Encoder:
    return Encoder.from_model(tiny_model(), tiny_processor(), engine="torch", precision="exact")


def encoded(image: Image.Image | None = None, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    (image or picture()).save(buffer, kind)
    return buffer.getvalue()


def uri(data: bytes | None = None, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data or encoded()).decode()}"


class Slow(Encoder):
    """Holds each call until it is let go; `calls` has the number of inputs of each that began."""

    def __init__(self, encoder: Encoder) -> None:
        self.__dict__.update(vars(encoder))
        self.go, self.began = threading.Event(), threading.Event()
        self.calls: list[int] = []

    def _held(self, items: Any) -> Any:
        self.calls.append(len(items))
        self.began.set()
        assert self.go.wait(20)
        return items

    def encode_texts(self, texts: Any, **how: Any) -> Any:
        return super().encode_texts(self._held(list(texts)), **how)

    def encode_images(self, images: Any, **how: Any) -> Any:
        return super().encode_images(self._held(list(images)), **how)


@contextmanager
def running(app: Any, settings: Settings) -> Iterator[str]:
    """The address of a server that runs until the block ends."""
    up, sock = threading.Event(), listening(settings)
    server = make_server(app, settings, up.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        assert up.wait(60), "the server did not start"
        yield address(sock, settings)
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive(), "the server did not end"


@contextmanager
def serving(
    encoder: Encoder, keys: Any = None, index: Any = None, fetcher: Any = None, **settings: Any
) -> Iterator[httpx.Client]:
    """A client of a server with these settings."""
    made = Settings(port=0, **settings)
    app = create_app(made, encoder, keys=keys, index=index, fetcher=fetcher)
    with running(app, made) as address, httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
        yield client


def asked(texts: Any, **more: Any) -> dict[str, Any]:
    """The body of a request for embeddings."""
    return {"model": NAME, "input": texts, **more}


NAME = "a DualEncoder in memory"
