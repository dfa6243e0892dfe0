"""A folder of photographs, and an index of it made by a tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from altclip.encoder import Encoder
from altclip.search import Index, Row
from altclip.search.indexing import Outcome, Settings, Update
from altclip.search.queries import Query
from tests.bad import picture

COLOURS = {"a.jpg": (200, 10, 10), "b.png": (10, 200, 10), "below/c.webp": (10, 10, 200), "below/d.jpg": (200, 200, 10)}


def lay_photographs(root: Path, names: dict[str, tuple[int, int, int]] | None = None) -> Path:
    """The folder, with pictures of these names and colours in it."""
    for name, colour in (names or COLOURS).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(colour).save(root / name)
    return root


class Library:
    """photos: the folder; place: the index; opened: how often the model was."""

    def __init__(self, base: Path, model: str) -> None:
        self.photos, self.place, self.model, self.opened = base / "photos", base / "index", model, 0
        self._encoder: Encoder | None = None

    def encoder(self, name: str) -> Encoder:
        self.opened += 1
        self._encoder = self._encoder or Encoder(name)
        return self._encoder

    def update(
        self, *folders: Path, model: str | None = "", tell: Callable[..., object] = lambda *_: None, **settings: Any
    ) -> Outcome:
        return self.update_of(*folders, model=model, tell=tell, **settings).run()

    def update_of(self, *folders: Path, model: str | None = "", tell: Any = lambda *_: None, **settings: Any) -> Update:
        named = self.model if model == "" else model
        return Update(
            self.place, folders or [self.photos], self.encoder, model=named, settings=Settings(**settings), tell=tell
        )

    @property
    def index(self) -> Index:
        return Index.open(self.place)

    def rows(self) -> dict[str, Row]:
        """Path below the photographs (or the whole one) -> row."""
        hits = self.index.search(Query(limit=10_000)).hits
        return {hit.row.path.removeprefix(f"{self.photos}/"): hit.row for hit in hits}
