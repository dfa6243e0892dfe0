"""What a result was made from: digests of the data, the commit of this code, versions; for checkpoints and reports."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from altclip import __version__

_WHOLE: Final = 16 * 2**30  # bytes of one source that are read for its digest; larger ones are told by names and sizes


def data_digest(path: Path) -> str:
    """`sha256:` of a file, or of the files of a folder or glob with their names; `sizes:` where these exceed 16 GiB."""
    files = sorted(_files(path))
    large = sum(file.stat().st_size for file in files) > _WHOLE
    if len(files) == 1 and files[0] == path and not large:
        return f"sha256:{_sha256(path, path.stat().st_mtime_ns)}"
    state = hashlib.sha256()
    for file in files:
        content = file.stat().st_size if large else _sha256(file, file.stat().st_mtime_ns)
        state.update(f"{file.relative_to(path.parent)}\0{content}\n".encode(errors="surrogateescape"))
    return f"{'sizes' if large else 'sha256'}:{state.hexdigest()}"


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (file for file in path.rglob("*") if file.is_file())
    else:
        yield from (file for file in path.parent.glob(path.name) if file.is_file())


@lru_cache(maxsize=1024)
def _sha256(file: Path, _changed: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def commit() -> str | None:
    """The commit that the code was run from, with `+` for changes on top of it; None for an installed package."""
    package = Path(__file__).parents[1]
    root = package.parents[1]
    if not (root / ".git").exists() or root / "src" / "altclip" != package:
        return None  # a repository around an installed package is another project's
    found = _git(root, "rev-parse", "HEAD")
    return found and found + ("+" if _git(root, "status", "--porcelain", "--", "src") else "")


def _git(root: Path, *arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(root), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def versions() -> dict[str, Any]:
    """What ran: this package and its commit, torch, numpy, Python, the machine's kind."""
    return {
        "altclip": __version__, "commit": commit(), "torch": str(torch.__version__), "numpy": np.__version__,
        "python": platform.python_version(), "machine": platform.machine(),
    }  # fmt: skip
