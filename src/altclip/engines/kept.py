"""Compiled graphs on disk, by a digest of all that they depend on: another model, library or machine is another one."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path


class CacheNotice(UserWarning):
    """Compiled graphs cannot be kept; the next start compiles anew."""


def cache_folder() -> Path:
    """Where compiled graphs are kept: `altclip/graphs` in the user's cache folder (XDG_CACHE_HOME)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "altclip" / "graphs"


def kept(folder: Path | None, facts: Sequence[str], make: Callable[[], bytes]) -> bytes:
    """The file that these facts name, or what `make` gives, which is then kept: whole or not at all.

    A file that was cut short is made anew. Where nothing can be written, a CacheNotice says so once.
    """
    if folder is None:
        return make()
    path = folder / f"{hashlib.sha256(chr(0).join(facts).encode()).hexdigest()[:32]}.graph"
    found = _read(path)
    if found is not None:
        return found
    content = make()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as partial:
            partial.write(hashlib.sha256(content).digest() + content)
        Path(partial.name).replace(path)
    except OSError as error:
        warnings.warn(f"compiled graphs cannot be kept in {folder} ({error})", CacheNotice, stacklevel=1)
    return content


def _read(path: Path) -> bytes | None:
    """None if it is not there, or not what was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, body = content[:32], content[32:]
    return body if hashlib.sha256(body).digest() == digest else None
