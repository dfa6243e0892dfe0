"""From images and names to embeddings: which prompts are used, what is kept on disk, and what makes it anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from altclip import prompts
from altclip.data.labels import Labels
from altclip.errors import DataError
from altclip.evaluate import embedding
from altclip.evaluate.embedding import embed_images, embed_labels
from altclip.evaluate.images import ImageSet
from altclip.evaluate.mini.data import open_data
from tests.evaluate.made import CLASSES, ColourModel, png

LABELS = Labels({"n1": {"en": ("ruby", "red stone"), "zh": ("红宝石",)}, "n2": {"en": ("ocean",)}})


@pytest.fixture
def photographs(folder: Path) -> ImageSet:
    return open_data(folder, "twemoji").photographs


def test_images_lie_at_their_colours(photographs: ImageSet) -> None:
    found = embed_images(ColourModel(), photographs)
    assert found.keys.tolist() == list(photographs.keys)
    expected = np.array([CLASSES[key][0] for key in photographs.keys]) / 127.5 - 1
    assert found.embeddings == pytest.approx(expected / np.sqrt(3), abs=1e-5)


def test_images_are_embedded_once_for_a_model_and_kept(
    photographs: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_KEPT_AT_ONCE", 10)  # several parts, the last a short one
    first, second = ColourModel(), ColourModel()
    made = embed_images(first, photographs, tmp_path, ["model a"])
    kept = embed_images(second, photographs, tmp_path, ["model a"])
    assert (first.images_seen, second.images_seen) == (24, 0)
    assert (kept.embeddings == made.embeddings).all()
    assert (made.embeddings == embed_images(first, photographs).embeddings).all()


def test_another_model_or_file_is_another_entry(own_folder: Path, tmp_path: Path) -> None:
    model = ColourModel()
    before = open_data(own_folder, "twemoji").full_size
    embed_images(model, before, tmp_path / "cache", ["model a"])
    embed_images(model, before, tmp_path / "cache", ["model b"])
    assert model.images_seen == 8
    (own_folder / "photos/full_size/n001_some_name.JPEG").write_bytes(png((9, 9, 9), form="JPEG"))
    embed_images(model, open_data(own_folder, "twemoji").full_size, tmp_path / "cache", ["model a"])
    assert model.images_seen == 12


def test_an_interrupted_run_goes_on_where_it_stopped(
    photographs: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_KEPT_AT_ONCE", 10)
    stopped, after = ColourModel(), ColourModel()

    def stop_after_two(*args: object, **options: object) -> object:
        if stopped.images_seen == 20:
            raise KeyboardInterrupt
        return ColourModel.encode_images(stopped, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(stopped, "encode_images", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        embed_images(stopped, photographs, tmp_path, ["model"])
    found = embed_images(after, photographs, tmp_path, ["model"])
    assert after.images_seen < 24
    assert (found.embeddings == embed_images(ColourModel(), photographs).embeddings).all()


def test_an_image_that_cannot_be_read_stops_it_by_name(
    photographs: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_KEPT_AT_ONCE", 10)
    broken = ImageSet(
        "val.parquet", lambda i: b"no image" if i == 13 else photographs.at(i), photographs.keys, "digest"
    )
    with pytest.raises(DataError, match="val.parquet, image 13: .*every image counts"):
        embed_images(ColourModel(), broken, tmp_path, ["model"])
    assert not list(tmp_path.glob("*.npy"))


def test_names_alone_are_the_first_names_and_nothing_else() -> None:
    model = ColourModel()
    found = embed_labels(model, LABELS, ["en", "zh"], "names")
    assert model.texts_seen == ["ruby", "ocean", "红宝石"]
    assert (found["en"].keys, found["en"].names) == (("n1", "n2"), ("ruby", "ocean"))
    assert (found["zh"].keys, found["zh"].names) == (("n1",), ("红宝石",))
    root = np.sqrt(1 / 3)
    assert found["en"].embeddings == pytest.approx(np.array([[root, -root, -root], [-root, -root, root]]))


def test_with_templates_all_those_of_the_language_are_averaged() -> None:
    model = ColourModel()
    embed_labels(model, LABELS, ["zh"], "templates")
    assert model.texts_seen == [prompts.fill(template, "红宝石") for template in prompts.templates("zh")]
    assert len(model.texts_seen) > 1


def test_han_alone_is_not_taken_for_chinese_where_it_is_japanese() -> None:
    model = ColourModel()
    embed_labels(model, Labels({"n1": {"ja": ("海洋",)}}), ["ja"], "templates")
    assert model.texts_seen == [prompts.fill(template, "海洋") for template in prompts.templates("ja")]


def test_a_language_without_names_is_an_error() -> None:
    with pytest.raises(DataError, match="no name in ko: leave the language out"):
        embed_labels(ColourModel(), LABELS, ["ko"], "names")
