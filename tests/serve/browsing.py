"""A gallery that mini knows its way in, and what a person does in a browser."""

from __future__ import annotations

import base64
import json
import math
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from PIL import Image, ImageDraw

from altclip.data.shipped import shipped_file, shipped_photographs
from altclip.encoder import Encoder
from altclip.search import Index, Row, make_id
from tests.serve.made import encoded

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request

SIDE: Final = 240
RED, BLUE, NIGHT, GOLD, BROWN, GREEN = "#dc1e32", "#3c5ac8", "#1e285a", "#ffc828", "#784b28", "#329640"
# What is looked for, by its file, in the order of LANGUAGES.
WORDS: Final[dict[str, tuple[str, ...]]] = {
    "heart.png": (
        "red heart", "红心", "corazón rojo", "cœur rouge", "красное сердце", "赤いハート", "빨간 하트", "قلب أحمر",
        "cuore rosso",
    ),
    "apple.png": (
        "red apple", "红苹果", "manzana roja", "pomme rouge", "красное яблоко", "赤いリンゴ", "빨간 사과",
        "تفاحة حمراء", "mela rossa",
    ),
    "umbrella.png": ("umbrella", "雨伞", "paraguas", "parapluie", "зонт", "傘", "우산", "مظلة", "ombrello"),
    "moon.png": (
        "crescent moon", "弯月", "luna creciente", "croissant de lune", "полумесяц", "三日月", "초승달", "هلال",
        "luna crescente",
    ),
    "coffee.png": (
        "espresso", "浓缩咖啡", "café expreso", "expresso", "эспрессо", "エスプレッソ", "에스프레소", "إسبريسو",
        "caffè espresso",
    ),
    "china.jpg": (
        "lakeshore", "湖岸", "orilla de un lago", "bord de lac", "берег озера", "湖岸", "호숫가", "ضفة بحيرة",
        "riva del lago",
    ),
}  # fmt: skip


def slow(*values: Any) -> Any:
    """A set of parameters for the long run of the tests."""
    return pytest.param(*values, marks=pytest.mark.slow)


def _heart(pen: ImageDraw.ImageDraw) -> None:
    turns = np.linspace(0, 2 * math.pi, 100)
    across = 120 + 6 * 16 * np.sin(turns) ** 3
    along = 113 - 6 * (13 * np.cos(turns) - 5 * np.cos(2 * turns) - 2 * np.cos(3 * turns) - np.cos(4 * turns))
    pen.polygon(list(zip(across.tolist(), along.tolist(), strict=True)), fill=RED)


def _apple(pen: ImageDraw.ImageDraw) -> None:
    pen.ellipse((47, 73, 193, 220), fill=RED)
    pen.line((120, 80, 133, 40), fill=BROWN, width=9)
    pen.ellipse((130, 33, 183, 63), fill=GREEN)


def _umbrella(pen: ImageDraw.ImageDraw) -> None:
    pen.pieslice((27, 40, 213, 227), 180, 360, fill=BLUE)
    pen.line((120, 40, 120, 200), fill=BROWN, width=7)
    pen.arc((120, 180, 153, 220), 0, 180, fill=BROWN, width=7)


def _moon(pen: ImageDraw.ImageDraw) -> None:
    pen.rectangle((0, 0, SIDE, SIDE), fill=NIGHT)
    pen.ellipse((53, 40, 200, 187), fill=GOLD)
    pen.ellipse((93, 20, 227, 167), fill=NIGHT)


def _tree(pen: ImageDraw.ImageDraw) -> None:
    pen.rectangle((103, 153, 137, 227), fill=BROWN)
    pen.ellipse((40, 20, 200, 173), fill=GREEN)


def _house(pen: ImageDraw.ImageDraw) -> None:
    pen.rectangle((60, 113, 180, 213), fill=GOLD)
    pen.polygon([(40, 117), (120, 40), (200, 117)], fill=RED)
    pen.rectangle((103, 153, 137, 213), fill=BROWN)


DRAWINGS: Final[dict[str, Callable[[ImageDraw.ImageDraw], None]]] = {
    "heart.png": _heart, "apple.png": _apple, "umbrella.png": _umbrella, "moon.png": _moon, "tree.png": _tree,
    "house.png": _house,
}  # fmt: skip


def make_gallery(folder: Path) -> Path:
    """Six drawings, and the ten photographs of scikit-image and scikit-learn."""
    for name, draw in DRAWINGS.items():
        image = Image.new("RGB", (SIDE, SIDE), "white")
        draw(ImageDraw.Draw(image))
        image.save(folder / name)
    for row in shipped_photographs():
        file = shipped_file(row["package"] or "", row["file"] or "")
        shutil.copy(file, folder / file.name)
    return folder


def make_many(folder: Path, encoder: Encoder, rows: int) -> Index:
    """An index of so many photographs without files, of one minute each; every seventh has no thumbnail."""
    made = Index.create(folder, model="/models/tiny", digest=encoder.digest, dim=encoder.dim)
    vectors = np.random.default_rng(0).normal(size=(rows, encoder.dim)).astype(np.float32)
    thumbnail, begin = encoded(kind="JPEG"), datetime(2024, 1, 1)
    with made.writing() as writer:
        writer.put(
            [
                Row(
                    id=make_id(str(place)), vector=vectors[place], name=f"{place}.jpg", width=60, height=40,
                    taken=begin - timedelta(minutes=place), thumbnail=b"" if place % 7 == 6 else thumbnail,
                )
                for place in range(rows)
            ]
        )  # fmt: skip
    return made


def names(page: Page) -> list[str]:
    """What the grid shows, in its order."""
    return list(page.locator(".photo img").evaluate_all("images => images.map((image) => image.alt)"))


def until(page: Page, true: Callable[[], Any], seconds: float = 30) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to be"
        page.wait_for_timeout(20)


def searched(page: Page, act: Callable[[], Any]) -> list[str]:
    """Do something that searches; the names that the server found, once the page shows them."""
    with page.expect_response(lambda answer: answer.url.endswith("/search")) as told:
        act()
    found = [hit["name"] for hit in told.value.json()["hits"]]
    until(page, lambda: names(page)[: len(found)] == found)
    return found


def sent(request: Request) -> dict[str, Any]:
    """The JSON of a request."""
    body: dict[str, Any] = json.loads(request.post_data or "{}")
    return body


def look_for(page: Page, words: str) -> list[str]:
    """Type words and the enter key."""

    def typed() -> None:
        page.fill("#text", words)
        page.keyboard.press("Enter")

    return searched(page, typed)


def hand_over(page: Page, how: str, data: bytes, kind: str = "image/png", name: str = "picture") -> None:
    """Drop a file on the page (`drop`), or paste it (`paste`)."""
    page.evaluate(
        """([how, text, kind, name]) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.codePointAt(0));
            const given = new DataTransfer();
            given.items.add(new File([bytes], name, { type: kind }));
            const more = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(how === "paste"
                ? new ClipboardEvent("paste", { clipboardData: given, ...more })
                : new DragEvent("drop", { dataTransfer: given, ...more }));
        }""",
        [how, base64.b64encode(data).decode("ascii"), kind, name],
    )
