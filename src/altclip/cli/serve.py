"""`altclip serve`: the HTTP server, and keys for it."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from altclip.cli.opening import device_name, open_encoder
from altclip.cli.output import progress_console, results, show_note
from altclip.errors import UsageError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from altclip.search import Index
    from altclip.serve.settings import Settings

EXAMPLE: Final = "altclip serve\n  altclip serve --keys keys.txt --new-key phone:read"


def command(
    model: Annotated[
        str | None, typer.Option(help="A folder, a preset, or a hub id. Left out: the index's, or mini.")
    ] = None,
    index: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the index is; else ALTCLIP_INDEX, else your data folder.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where to listen; else 127.0.0.1. Others need keys.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Else 8000; 0 takes a free one.")] = None,
    keys: Annotated[Path | None, typer.Option(metavar="FILE", help="Hashes of API keys.")] = None,
    new_key: Annotated[
        str | None, typer.Option(metavar="NAME:SCOPE", help="Make a key (read or write), show it once, and leave.")
    ] = None,
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Let everybody in who reaches the address.")
    ] = False,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="A TOML file with further settings.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="auto, or one of altclip info --engines; else ALTCLIP_ENGINE.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="fast, exact or int8; else ALTCLIP_PRECISION.")] = None,
) -> None:
    """Serve embeddings, classification and search over HTTP, until Ctrl-C.

    Clients of OpenAI's API find /v1/embeddings there. Limits and the rest are set in the table [serve] of --config, or
    as ALTCLIP_SERVE_TIMEOUT and the like in the environment.
    """
    if new_key is not None:
        _make_key(new_key, _expanded(keys))
        return
    from altclip.serve.keys import read_keys
    from altclip.serve.running import check_address, check_installed, serve
    from altclip.serve.settings import load_settings
    from altclip.serve.workers import serve_workers

    settings = load_settings(
        config, os.environ, host=host, port=port, keys=keys, index=index, without_keys=without_keys or None
    )
    check_installed()
    check_address(settings, read_keys(_expanded(settings.keys), os.environ))

    def started(address: str) -> None:
        progress_console().print(f"serving at {address}; the page is there, too; Ctrl-C ends it", soft_wrap=True)

    if settings.workers > 1:
        serve_workers(partial(_application, settings, model, engine, precision), settings, started)
    else:
        serve(_application(settings, model, engine, precision), settings, started)


def _application(settings: Settings, model: str | None, engine: str | None, precision: str | None) -> FastAPI:
    """The server with model, keys and index opened."""
    from altclip.serve.app import create_app
    from altclip.serve.keys import read_keys
    from altclip.serve.pictures import open_pictures

    opened = _index(settings.index)
    encoder = open_encoder(
        model or (opened.about.model if opened else "mini"),
        max_pixels=settings.max_pixels, engine=engine, precision=precision,
    )  # fmt: skip
    if opened is not None and settings.index is None and opened.about.digest != encoder.digest:
        how = f"leave out --model {model}" if model else "delete that folder and index again"
        show_note(
            f"the index {opened.folder} is not served: it holds embeddings of {opened.about.model} "
            f"({opened.about.digest[:12]}), and the model at hand is another ({encoder.digest[:12]}); {how}"
        )
        opened = None
    return create_app(
        settings, encoder, keys=read_keys(_expanded(settings.keys), os.environ), index=opened,
        generator=open_pictures(settings, device_name()),
    )  # fmt: skip


def _expanded(file: Path | None) -> Path | None:
    return file.expanduser() if file else None


def _make_key(wanted: str, file: Path | None) -> None:
    """The key on stdout; its hash into the file, or beside it on stderr."""
    from altclip.serve.keys import add_key, new_key

    name, _, scope = wanted.rpartition(":")
    secret, key = new_key(name, scope)
    if file is None:
        progress_console().print("the server's side of it, for a file or ALTCLIP_KEYS:")
        progress_console().print(key.line, soft_wrap=True)
    else:
        try:
            add_key(file, key)
        except OSError as error:
            raise UsageError(f"--keys {file}: cannot be written to: {error.strerror}") from error
        progress_console().print(f"its hash is in {file}; the key itself is shown this once:", markup=False)
    results().print(secret, soft_wrap=True)


def _index(named: Path | None) -> Index | None:
    """The index that was named, else the usual one if there is one."""
    from altclip.search import Index, default_folder
    from altclip.search.indexing import exists

    if named is not None:
        return Index.open(named.expanduser())
    return Index.open(default_folder()) if exists(default_folder()) else None
