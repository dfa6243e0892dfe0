"""A data folder of the real one's form, small enough to write anew, and a model that sees nothing but colour.

A class is a corner of the colour cube; its photographs are of that one colour. `ColourModel` puts an image at its mean
colour and a text at the colour of the word in it, so every figure can be worked out by hand.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from altclip.errors import InputError
from altclip.metrics import normalised
from altclip.processing import open_image

Colour = tuple[int, int, int]

# wnid -> colour, names. French gives one name to two classes; one class has no Chinese name.
CLASSES: dict[str, tuple[Colour, dict[str, str]]] = {
    "n001": ((0, 0, 0), {"en": "coal", "zh": "煤", "fr": "charbon"}),
    "n002": ((255, 0, 0), {"en": "ruby", "zh": "红宝石", "fr": "rubis"}),
    "n003": ((0, 255, 0), {"en": "lawn", "zh": "草坪", "fr": "pelouse"}),
    "n004": ((0, 0, 255), {"en": "ocean", "zh": "海洋", "fr": "océan"}),
    "n005": ((255, 255, 0), {"en": "lemon", "zh": "柠檬", "fr": "citron"}),
    "n006": ((255, 0, 255), {"en": "orchid", "zh": "兰花", "fr": "fleur"}),
    "n007": ((0, 255, 255), {"en": "sky", "fr": "ciel"}),
    "n008": ((255, 255, 255), {"en": "lily", "zh": "百合", "fr": "fleur"}),
}
# id -> colour, names; more than ten, so that R@10 says something
CONCEPTS: dict[str, tuple[Colour, dict[str, str]]] = {
    f"{number:04x}": ((red, green, blue), {language: f"{language}{number}" for language in ("en", "zh", "fr")})
    for number, (red, green, blue) in enumerate(
        (red, green, blue) for red in (0, 127, 255) for green in (0, 127, 255) for blue in (0, 255)
    )
}
STYLES = {"twemoji": list(CONCEPTS), "noto": list(CONCEPTS)[:12]}
VALIDATION = [(wnid, copy) for copy in range(3) for wnid in CLASSES]


def png(colour: Sequence[int], size: int = 64, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", (size, size), tuple(colour)).save(file, form)
    return file.getvalue()


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    kinds = {name: image if name == "image" else pa.string() for name in rows[0]}
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(list(kinds.items()))), path)


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_data(folder: Path) -> Path:
    """All that evaluation wants, in the form that docs/mini-data.md gives."""
    write_lines(folder / "photos/classes.jsonl", ({"wnid": w, "names": n} for w, (_, n) in CLASSES.items()))
    write_lines(folder / "emoji/concepts.jsonl", ({"id": c, "names": n} for c, (_, n) in CONCEPTS.items()))
    photographs = [
        {"image": {"bytes": png(CLASSES[wnid][0]), "path": f"{wnid}_{copy}.png"}, "wnid": wnid}
        for wnid, copy in VALIDATION
    ]
    write_rows(folder / "photos/val.parquet", photographs)
    drawings = [
        {"image": {"bytes": png((*CONCEPTS[key][0], 255), 72), "path": f"{style}/{key}.png"}, "id": key, "style": style}
        for style, keys in STYLES.items()
        for key in keys
    ]
    write_rows(folder / "emoji/images.parquet", drawings)
    (folder / "photos/full_size").mkdir()
    for wnid in list(CLASSES)[:4]:
        (folder / f"photos/full_size/{wnid}_some_name.JPEG").write_bytes(png(CLASSES[wnid][0], 200, "JPEG"))
    return folder


class ColourModel:
    """Embeds by colour. mistaken: word -> the word it is taken for; unknown words have no direction at all."""

    def __init__(self, mistaken: Mapping[str, str] | None = None) -> None:
        self.images_seen = 0
        self.texts_seen: list[str] = []
        colours = {name: colour for colour, names in [*CLASSES.values(), *CONCEPTS.values()] for name in names.values()}
        self.colours = colours | {word: colours[other] for word, other in (mistaken or {}).items()}

    def encode_images(
        self, images: Iterable[Any], *, on_error: Callable[[int, InputError], object] | None = None
    ) -> NDArray[np.float32]:
        rows = []
        for position, source in enumerate(images):
            self.images_seen += 1
            try:
                rows.append(np.asarray(open_image(source), np.float32).mean(axis=(0, 1)))
            except InputError as error:
                if on_error is None:
                    raise
                on_error(position, error)
        return _directions(np.array(rows))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts_seen += texts
        return _directions(np.array([self._colour(text) for text in texts], np.float32))

    def _colour(self, text: str) -> Sequence[float]:
        """That of the longest word which the text holds; grey, which has no direction, if it holds none."""
        found = sorted((word for word in self.colours if word in text), key=len)
        return self.colours[found[-1]] if found else (127.5, 127.5, 127.5)


def _directions(colours: NDArray[np.floating]) -> NDArray[np.float32]:
    return normalised((colours / 127.5 - 1).astype(np.float32))
