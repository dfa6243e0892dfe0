"""`index.json`: what an index is of, written as one piece, so that a killed process leaves the old one or the new."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from altclip.errors import SearchError

FORMAT: Final = 2
FILE: Final = "index.json"


@dataclass(frozen=True)
class Tuned:
    """How the approximate index is asked, and what that was measured to find when it was built.

    ef: candidates kept while the graph is walked. recall: share of the ten nearest that are found. rows: how many the
    index had then.
    """

    ef: int
    recall: float
    rows: int


@dataclass(frozen=True)
class About:
    """model: its name. digest: `Encoder.digest`, of weights and preprocessing. folders: the roots that were indexed."""

    model: str
    digest: str
    dim: int
    folders: tuple[str, ...] = ()
    tuned: Tuned | None = None
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        """Put it in place of the old one. Raises OSError."""
        partial = folder / f".{FILE}.part"
        with partial.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / FILE)


def read_about(folder: Path) -> About:
    """What the index in `folder` is of.

    Raises:
        SearchError: there is none, it cannot be read, or a later version of altclip made it.
    """
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if content["format"] > FORMAT:
            raise SearchError(
                f"{folder} is an index of format {content['format']}, of a later altclip; this one reads {FORMAT}: "
                "update altclip"
            )
        if content["format"] < FORMAT:
            raise SearchError(
                f"{folder} is an index of format {content['format']}, of an earlier altclip; this one reads {FORMAT}: "
                "delete it and index again"
            )
        # an index over partitions, as altclip made them first, is made anew by the next writer and exact until then
        tuned = Tuned(**content["tuned"]) if content["tuned"] and "ef" in content["tuned"] else None
        return About(**{**content, "folders": tuple(content["folders"]), "tuned": tuned})
    except (FileNotFoundError, NotADirectoryError):
        raise SearchError(f"{folder} is no index: `altclip index FOLDER` makes one of your photographs") from None
    except OSError as error:
        raise SearchError(f"{folder / FILE} cannot be read ({error.strerror}): check the folder's rights") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SearchError(f"{folder / FILE} is damaged ({error}): delete {folder} and index again") from error
