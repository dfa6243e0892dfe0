"""What became of each query: from these come figures, recall curves, and the comparison of two models on the same data.

Outcomes are kept beside a report, in `NAME.ranks.npz` for `NAME.json`, since their ranks would drown the figures.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from altclip.errors import DataError
from altclip.metrics import Ranks

Kind: TypeAlias = Literal["T2I", "I2T", "to English", "from English", "names", "templates"]
SUFFIX: Final = ".ranks.npz"


@dataclass(frozen=True)
class Outcome:
    """The queries of one kind in one language: text to image, image to text, text to text, or images to classes.

    ranks: of the best right item (Q,), 0 being first. units: the image (Q,) that each query belongs to, which a
    bootstrap draws with all its queries. choices: among how many.
    """

    language: str
    kind: Kind
    ranks: Ranks
    units: NDArray[np.int64]
    choices: int


def pack(outcomes: Mapping[str, Outcome]) -> bytes:
    """The ranks and units of outcomes by key, as an .npz file that is equal for equal outcomes."""
    arrays = {f"{key}.{part}": getattr(of, part).astype(np.int32) for key, of in outcomes.items() for part in _PARTS}
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def unpack(path: Path, keys: Sequence[str], sha256: str) -> dict[str, tuple[Ranks, NDArray[np.int64]]]:
    """Ranks and units by key. Raises DataError if the file is not there, not the one written, or damaged."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error}): evaluate writes it beside its JSON file, keep both"
        ) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{path} is not the file that was written with its JSON file: take both of one run")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {
                key: (arrays[f"{key}.ranks"].astype(np.int64), arrays[f"{key}.units"].astype(np.int64)) for key in keys
            }
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged: {error}") from error


_PARTS: Final = ("ranks", "units")
