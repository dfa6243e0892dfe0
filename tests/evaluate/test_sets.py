"""Reading the data folder: what is there, what is missing or damaged, and the real one's counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from altclip.data.leftout import left_out_pairs
from altclip.errors import DataError, UsageError
from altclip.evaluate.mini.data import WANTED, digest, open_data
from altclip.languages import LANGUAGES
from altclip.processing import open_image
from tests.evaluate.made import CLASSES, CONCEPTS, STYLES, VALIDATION, png, write_lines, write_rows


def test_all_of_it_is_read_in_order(folder: Path) -> None:
    data = open_data(folder, "twemoji")
    assert data.photographs.keys == tuple(wnid for wnid, _ in VALIDATION)
    assert data.full_size.keys == ("n001", "n002", "n003", "n004")
    assert data.drawings.keys == tuple(STYLES["twemoji"])
    assert list(data.classes.names) == list(CLASSES)
    assert set(data.digests) == set(WANTED)
    for images in (data.photographs, data.full_size):
        for image, key in zip(images, images.keys, strict=True):
            assert open_image(image).getpixel((5, 5)) == pytest.approx(CLASSES[key][0], abs=2)
    assert open_image(data.drawings.at(3)).getpixel((5, 5)) == CONCEPTS[data.drawings.keys[3]][0]


def test_a_part_is_the_same_images(folder: Path) -> None:
    images = open_data(folder, "twemoji").photographs
    part = images.part(5, 9)
    assert (len(part), part.keys) == (4, images.keys[5:9])
    assert list(part) == list(images)[5:9]
    assert list(part.part(1, 3)) == list(images)[6:8]


def test_only_the_style_asked_for(folder: Path) -> None:
    assert open_data(folder, "noto").drawings.keys == tuple(STYLES["noto"])
    with pytest.raises(UsageError, match=r"no drawing of style 'crayon'.*twemoji \(18\), noto \(12\)"):
        open_data(folder, "crayon")


def test_everything_that_is_missing_is_named_at_once(own_folder: Path) -> None:
    (own_folder / "photos/val.parquet").unlink()
    (own_folder / "emoji/concepts.jsonl").unlink()
    with pytest.raises(DataError, match=r"lacks photos/val.parquet, emoji/concepts.jsonl: expected.*docs/mini-data.md"):
        open_data(own_folder, "twemoji")


def test_a_folder_that_is_not_there_lacks_everything(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lacks photos/val.parquet, photos/classes.jsonl, photos/full_size, emoji"):
        open_data(tmp_path / "none", "twemoji")


def test_a_digest_follows_content(own_folder: Path) -> None:
    before = open_data(own_folder, "twemoji")
    (own_folder / "photos/full_size/n005_lemon.jpg").write_bytes(png((255, 255, 0), form="JPEG"))
    after = open_data(own_folder, "twemoji")
    assert after.full_size.digest != before.full_size.digest
    assert after.photographs.digest == before.photographs.digest
    assert open_data(own_folder, "noto").drawings.digest != before.drawings.digest


def test_a_folders_digest_counts_names_and_not_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.JPEG").write_bytes(b"one")
    first = digest(tmp_path)
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    assert digest(tmp_path) == first
    (tmp_path / "a.JPEG").rename(tmp_path / "b.JPEG")
    assert digest(tmp_path) != first


def test_a_class_that_the_labels_do_not_have(own_folder: Path) -> None:
    (own_folder / "photos/full_size/n999_comet.JPEG").write_bytes(png((9, 9, 9), form="JPEG"))
    with pytest.raises(DataError, match="full_size shows classes that the labels file does not have: n999"):
        open_data(own_folder, "twemoji")


def test_files_without_content(own_folder: Path) -> None:
    for path, message in (
        ("photos/classes.jsonl", "has no lines"),
        ("photos/val.parquet", "cannot be opened as parquet"),
    ):
        content = (own_folder / path).read_bytes()
        (own_folder / path).write_bytes(b"")
        with pytest.raises(DataError, match=message):
            open_data(own_folder, "twemoji")
        (own_folder / path).write_bytes(content)
    for file in (own_folder / "photos/full_size").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="full_size has no photographs"):
        open_data(own_folder, "twemoji")


def test_a_truncated_parquet_file(own_folder: Path) -> None:
    path = own_folder / "photos/val.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="val.parquet cannot be opened"):
        open_data(own_folder, "twemoji")


def test_another_column_than_expected(own_folder: Path) -> None:
    write_rows(own_folder / "photos/val.parquet", [{"image": {"bytes": png((0, 0, 0)), "path": "a"}, "label": "n001"}])
    with pytest.raises(DataError, match="has no column wnid: it has image, label"):
        open_data(own_folder, "twemoji")


def test_a_line_that_is_no_json_is_named(own_folder: Path) -> None:
    path = own_folder / "emoji/concepts.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + "{half a line\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"concepts.jsonl, line {len(CONCEPTS) + 1}"):
        open_data(own_folder, "twemoji")


def test_synonyms_are_no_names(own_folder: Path) -> None:
    rows = [{"wnid": w, "names": {"en": n["en"]}, "synonyms": {"ko": "이름"}} for w, (_, n) in CLASSES.items()]
    write_lines(own_folder / "photos/classes.jsonl", rows)
    assert open_data(own_folder, "twemoji").classes.keys_in(["ko"]) == []


@pytest.mark.shared
def test_the_real_files_hold_what_their_description_says(shared: Path) -> None:
    data = open_data(shared / "data", "twemoji")
    assert len(data.photographs) == 5000
    assert {data.photographs.keys.count(key) for key in data.classes.names} == {25}
    assert len(data.classes.names) == 200
    assert len(data.classes.keys_in(LANGUAGES)) == 138
    assert len(data.classes.keys_in(["en", "zh", "ja", "it", "ar"])) == 200
    assert len(data.full_size) == len(set(data.full_size.keys)) == 100
    assert len(data.concepts.keys_in(LANGUAGES)) == len(data.drawings) == 1612
    assert len(left_out_pairs(data.classes, 5)) == 294
    doubles = {
        language: len(keys) - len({data.classes.names[key][language][0] for key in keys})
        for language in LANGUAGES
        for keys in [data.classes.keys_in([language])]
    }
    assert {language: count for language, count in doubles.items() if count} == {"es": 2, "fr": 1, "it": 1}
