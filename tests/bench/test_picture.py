"""The picture of `altclip bench`: every bar named, white ground and dark words, and what is refused before the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from altclip.bench import Price, Row, picture
from altclip.errors import MissingExtraError, UsageError
from altclip.metrics import Estimate
from altclip.pages import drawing

ROWS = [
    Row("matrix products", "torch float32", 200.0, 190.0, 210.0),
    Row("images", "torch float32", 1.5, 1.4, 1.6, 1.0, 0.4),
    Row("images", "openvino int8", 9.5, 9.0, 9.9, 0.99, 30.0),
]
PRICES = [
    Price("int8", "mean", "top-1, names alone", 0.4, Estimate(-0.003, -0.006, 0.001)),
    Price("int8", "zh", "top-1, names alone", 0.4, Estimate(-0.01, -0.02, 0.001)),
]


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that stands in the picture, filled when it is saved."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    found: list[str] = []
    saved = Figure.savefig

    def read(self: Figure, *given: Any, **options: Any) -> None:
        saved(self, *given, **options)
        found.extend(of.get_text() for of in self.findobj(Text))

    monkeypatch.setattr(Figure, "savefig", read)
    return found


def test_every_bar_has_its_name_its_number_and_its_unit(words: list[str], tmp_path: Path) -> None:
    picture.draw("mini on a machine, 2 threads", ROWS, PRICES, tmp_path / "a.png")
    for word in (
        "mini on a machine, 2 threads", "matrix products, GFLOP/s", "images, images/s", "openvino int8", "9.5", "200",
        "int8: top-1, names alone",
    ):  # fmt: skip
        assert word in words
    assert any("percentage points" in word for word in words)
    assert not any("zh" in word for word in words)  # the mean over languages stands for them


def test_it_is_dark_on_white_and_large_enough_to_read(words: list[str], tmp_path: Path) -> None:
    picture.draw("a", ROWS, (), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as shown:
        assert shown.width >= 1000
        pixels = np.asarray(shown.convert("L"))
    assert np.median(pixels) == 255
    assert pixels.min() < 60


def test_a_name_in_letters_that_matplotlib_lacks_becomes_codes(words: list[str], tmp_path: Path) -> None:
    picture.draw("模型$x$", ROWS, (), tmp_path / "a.png")
    assert "/u6a21/u578bSxS" in words


def test_one_precision_in_one_language_is_drawn_too(words: list[str], tmp_path: Path) -> None:
    picture.draw("a", ROWS, PRICES[1:], tmp_path / "a.png")
    assert "int8: top-1, names alone" in words


def test_where_it_cannot_go_is_known_before_the_work(tmp_path: Path) -> None:
    for path, wrong in ((tmp_path / "a.jpg", "ends in .png"), (tmp_path / "no" / "a.png", "cannot be written")):
        with pytest.raises(UsageError, match=wrong):
            picture.check(path)
    (tmp_path / "b.png").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        picture.check(tmp_path / "b.png")


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise MissingExtraError("matplotlib", "report")

    monkeypatch.setattr(drawing, "_matplotlib", absent)
    with pytest.raises(MissingExtraError, match=r"altclip\[report\]"):
        picture.check(tmp_path / "a.png")
