"""`altclip demo --open`: photographs indexed in a temporary folder, and the server's page of them in a browser."""

from __future__ import annotations

import logging
import signal
import threading
import webbrowser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from altclip.cli.finding import Failure, show_failures
from altclip.cli.index import bar
from altclip.cli.opening import open_encoder
from altclip.cli.output import progress_console
from altclip.errors import InputError, UsageError

if TYPE_CHECKING:
    from altclip.encoder import Encoder
    from altclip.search import Index


def show_page(folder: Path | None, model: str) -> None:
    """Index the photographs of a folder, or those that are shipped; serve the page, open it, and stay until Ctrl-C.

    Raises:
        MissingExtraError: without the extras `serve` and `search`, or `demo` where no folder is given.
        InputError: the folder holds no photograph that can be read.
    """
    from altclip.serve.app import create_app
    from altclip.serve.observing import LOGGER
    from altclip.serve.running import check_installed, serve
    from altclip.serve.settings import Settings

    if folder is not None and not folder.is_dir():
        raise UsageError(f"{folder} is no folder: expected one with photographs")
    check_installed()
    settings = Settings(port=0)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the temporary folder goes then, too
    with TemporaryDirectory(prefix="altclip-demo-", ignore_cleanup_errors=True) as made:
        encoder = open_encoder(model, max_pixels=settings.max_pixels)
        index = _indexed(Path(made), folder, encoder, settings.max_pixels)
        app = create_app(settings, encoder, index=index)
        LOGGER.addFilter(_no_requests)
        try:
            serve(app, settings, _opened)
        finally:
            LOGGER.removeFilter(_no_requests)
            signal.signal(signal.SIGTERM, before)


def _indexed(place: Path, folder: Path | None, encoder: Encoder, max_pixels: int) -> Index:
    from altclip.demo import copy_shipped
    from altclip.search import Index
    from altclip.search.indexing import Settings, Update, exists

    photographs = folder or copy_shipped(place / "photographs")
    with bar() as tell:
        update = Update(
            place / "index", [photographs], lambda _: encoder, settings=Settings(max_pixels=max_pixels), tell=tell
        )
        outcome = update.run()
    show_failures([Failure(*failure) for failure in outcome.failures])
    if not exists(place / "index"):
        raise InputError(f"{photographs}: the folder holds no photograph that can be read")
    progress_console().print(f"photographs that can be searched: {outcome.new}")
    return Index.open(place / "index")


def _opened(address: str) -> None:
    progress_console().print(f"the page is at {address}/ and in your browser; Ctrl-C ends it", soft_wrap=True)
    # a browser for terminals stays until it is left, and the server must answer it meanwhile
    threading.Thread(target=webbrowser.open, args=(f"{address}/",), daemon=True).start()


def _no_requests(record: logging.LogRecord) -> bool:
    """A line a request is for who runs a server."""
    return record.levelno > logging.INFO
