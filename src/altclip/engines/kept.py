"""Compiled graphs on disk, by a digest of all that they depend on: another model, library or machine is another one."""

from __future__ import annotations

import hashlib
import os
import secrets
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path


class CacheNotice(UserWarning):
    """Compiled graphs cannot be kept; the next start compiles anew."""


def cache_folder() -> Path:
    """Where compiled graphs are kept: `altclip/graphs` in the user's cache folder (XDG_CACHE_HOME)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "altclip" / "graphs"


def kept(folder: Path | None, facts: Sequence[str], make: Callable[[], bytes], *, anew: bool = False) -> bytes:
    """The file that these facts name, or what `make` gives, which is then kept: whole or not at all.

    A file that was cut short is made anew; `anew` makes any. Where nothing can be written, a CacheNotice says so once.
    """
    if folder is None:
        return make()
    path = folder / f"{hashlib.sha256(chr(0).join(facts).encode()).hexdigest()[:32]}.graph"
    found = None if anew else _read(path)
    if found is not None:
        return found
    content = make()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, content)
    except OSError as error:
        warnings.warn(f"compiled graphs cannot be kept in {folder} ({error})", CacheNotice, stacklevel=1)
    return content


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: where there is no room for it, nothing is left of it."""
    partial = path.with_name(f"{path.stem}.{secrets.token_hex(4)}.part")
    try:
        with partial.open("xb") as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _read(path: Path) -> bytes | None:
    """None if it is not there, or not what was written."""
    try:
        with path.open("rb") as file:
            digest, body = file.read(32), file.read()  # not read as one and cut, which would hold it twice
    except OSError:
        return None
    return body if hashlib.sha256(body).digest() == digest else None
