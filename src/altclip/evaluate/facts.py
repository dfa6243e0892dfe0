"""What a report says of its making: versions, machine, commit, and where embeddings are kept."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from altclip import __version__

_LIBRARIES: Final = ("torch", "numpy", "pillow", "tokenizers", "datasets")


def versions() -> dict[str, str]:
    """Of this package, Python, the machine and the libraries that figures may depend on."""
    found = {"altclip": __version__, "python": platform.python_version(), "machine": platform.platform()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


def commit() -> str | None:
    """The commit of the source tree that this package runs from, `+` if files were changed; None if it is installed."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    head = _git(root, "rev-parse", "HEAD")
    return head and head + ("+" if _git(root, "status", "--porcelain", "--", "src") else "")


def cache_folder() -> Path:
    """Where embeddings are kept unless told otherwise: `altclip` in the user's cache folder (XDG_CACHE_HOME)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "altclip" / "embeddings"


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):  # git is absent, or the folder is not its own
        return None
    return done.stdout.strip()
