"""The photographs that come with other packages, listed in `shipped.json`; nothing is downloaded or imported."""

from __future__ import annotations

import json
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from altclip.errors import MissingExtraError


def shipped_photographs() -> list[dict[str, str | None]]:
    """Each colour photograph in the wheels of scikit-image and scikit-learn: package, file, what it shows, credit."""
    rows: list[dict[str, str | None]] = json.loads(
        files("altclip.data").joinpath("shipped.json").read_text(encoding="utf-8")
    )
    return rows


def shipped_file(package: str, file: str) -> Path:
    """Where such a file lies on this machine. Raises MissingExtraError without the package (extra `demo`)."""
    module, _, rest = file.partition("/")
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(package, "demo")
    return Path(spec.submodule_search_locations[0]) / rest
