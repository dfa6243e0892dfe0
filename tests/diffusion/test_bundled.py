"""The bundled model that draws: that it is whole, small, says what it is, and draws what nine languages ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import altclip
from altclip import Encoder
from altclip.diffusion import generate, open_pipeline, read_parameters
from tests.cli.conftest import Run

FOLDER = Path(altclip.__file__).parent / "assets" / "mini-diffusion"
# By their CLDR names. A language's are the labels that its pictures are told apart by.
NAMES = {
    "en": ["red heart", "red apple", "house", "flag: Japan", "deciduous tree", "fish", "crown", "sun with face"],
    "zh": ["红心", "红苹果", "房子", "旗: 日本", "落叶树", "鱼", "皇冠", "微笑的太阳"],
    "es": [
        "corazón rojo",
        "manzana roja",
        "casa",
        "Bandera: Japón",
        "árbol de hoja caduca",
        "pez",
        "corona",
        "sol con cara",
    ],
    "fr": [
        "cœur rouge",
        "pomme rouge",
        "maison",
        "drapeau : Japon",
        "arbre à feuilles caduques",
        "poisson",
        "couronne",
        "soleil avec visage",
    ],
    "ru": ["алое сердце", "красное яблоко", "дом", "флаг: Япония", "дерево", "рыба", "корона", "солнце с лицом"],
    "ja": ["赤いハート", "赤リンゴ", "家", "旗: 日本", "落葉樹", "魚", "王冠", "顔のある太陽"],
    "ko": ["빨간색 하트", "빨간 사과", "집", "깃발: 일본", "나무", "물고기", "왕관", "얼굴이 있는 해"],
    "ar": ["قلب أحمر", "تفاح أحمر", "منزل", "علم: اليابان", "شجرة زائلة الخضرة", "سمكة", "تاج", "وجه الشمس"],
    "it": [
        "cuore rosso",
        "mela rossa",
        "casa",
        "bandiera: Giappone",
        "albero deciduo",
        "pesce",
        "corona",
        "faccina sole",
    ],
}


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return open_pipeline("mini-diffusion", device="cpu")


def test_it_is_small_and_carries_its_licence_and_card() -> None:
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) <= 20e6
    licence = (FOLDER / "LICENSE").read_text(encoding="utf-8")
    assert all(name in licence for name in ("Noto Emoji", "Twemoji", "OpenMoji", "CC BY-SA 4.0"))
    assert "1,612 concepts" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_its_index_tells_what_made_it() -> None:
    index = json.loads((FOLDER / "model_index.json").read_text(encoding="utf-8"))
    assert index["altclip_training"]["recipe"] == "mini-diffusion"
    assert index["text_encoder"] == ["altclip", "mini"]
    assert "widths" not in index["altclip_training"]["stage"]["denoise"]  # the UNet's own settings tell its sizes


@pytest.mark.parametrize("language", ["en", "ar", "ja", pytest.param("zh", marks=pytest.mark.slow)])
def test_it_draws_what_was_asked_for(language: str, pipeline: Any) -> None:
    """Mini's image tower, which never saw these, tells most of the pictures by their names."""
    names = NAMES[language]
    pictures = [picture.image for picture in generate(pipeline, names, seed=1, steps=20)]
    judge = Encoder()
    scores = judge.encode_images(pictures) @ judge.encode_texts(names).T
    assert (scores.argmax(1) == np.arange(len(names))).mean() >= 0.75


def test_by_the_command_without_naming_a_model(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run("generate", "manzana roja", "--seed", 3, "--steps", 4)
    assert (code, err.strip()) == (0, "")  # where the bar was
    picture = Path("generated/00001.png")
    assert Image.open(picture).size == (64, 64)
    assert read_parameters(picture)["model"] == "mini-diffusion"
