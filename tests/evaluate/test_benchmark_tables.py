"""Sets of one's own: parquet, jsonl, csv, webdataset and folders, captions by column or in one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from altclip.errors import DataError
from altclip.evaluate.benchmarks import BENCHMARKS, CaptionSet, LabelledSet, open_benchmark
from altclip.processing import open_image
from tests.evaluate.benchmark_files import COLOURS, archive, lines, pictures, write
from tests.evaluate.made import png

IMAGES = [{"bytes": png(colour), "path": f"{number}.png"} for number, colour in enumerate(COLOURS)]


def parquet(folder: Path, **columns: list[Any]) -> Path:
    path = folder / "a.parquet"
    pq.write_table(pa.table({"image": IMAGES, **columns}), path)
    return path


def captions(path: Path, *languages: str) -> CaptionSet:
    content = open_benchmark(BENCHMARKS["captions"], path, languages)
    assert isinstance(content, CaptionSet)
    return content


def labels(path: Path, *languages: str) -> LabelledSet:
    content = open_benchmark(BENCHMARKS["labels"], path, languages)
    assert isinstance(content, LabelledSet)
    return content


def colours(content: CaptionSet | LabelledSet) -> list[tuple[int, ...]]:
    means = [np.asarray(open_image(image)).mean(axis=(0, 1)) for image in content.images]
    return [tuple(int(value) for value in mean.round()) for mean in means]


def test_a_column_for_each_language(tmp_path: Path) -> None:
    path = parquet(tmp_path, en=["a", "b", "c"], caption_zh=[["甲", "乙"], ["丙"], ["丁"]], note=["", "", ""])
    content = captions(path)
    assert list(content.captions) == ["en", "zh"]
    assert content.captions["zh"].texts == ("甲", "乙", "丙", "丁")
    assert content.captions["zh"].owners.tolist() == [[0], [0], [1], [2]]
    assert colours(content) == list(COLOURS)
    assert list(captions(path, "zh").captions) == ["zh"]


def test_a_column_of_ids_is_not_indonesian(tmp_path: Path) -> None:
    content = captions(parquet(tmp_path, id=["x", "y", "z"], en=["a", "b", "c"]))
    assert list(content.captions) == ["en"]
    assert content.images.keys == ("x", "y", "z")


def test_one_column_by_language(tmp_path: Path) -> None:
    rows = [{"en": ["a"], "fr": ["un", "deux"]}, {"en": ["b"], "fr": ["trois"]}, {"en": ["c"], "fr": ["quatre"]}]
    content = captions(parquet(tmp_path, captions=rows))
    assert {language: len(of.texts) for language, of in content.captions.items()} == {"en": 3, "fr": 4}
    assert list(captions(tmp_path / "a.parquet", "fr").captions) == ["fr"]


def test_one_column_of_texts_needs_a_language(tmp_path: Path) -> None:
    path = parquet(tmp_path, caption=["a", "b", "c"])
    assert captions(path, "ru").captions["ru"].texts == ("a", "b", "c")
    with pytest.raises(DataError, match="a caption without a language; ask for the one that it is in"):
        captions(path)


def test_lines_of_json_beside_images(tmp_path: Path) -> None:
    pictures(tmp_path, ["0.png", "1.png", "2.png"])
    rows = [{"image": f"{number}.png", "ja": f"文{number}", "ko": f"글{number}"} for number in range(3)]
    path = write(tmp_path / "a.jsonl", lines(*(json.dumps(row, ensure_ascii=False) for row in rows)))
    content = captions(path)
    assert content.captions["ko"].texts == ("글0", "글1", "글2")
    assert colours(content) == list(COLOURS)
    before = content.images.digest
    write(tmp_path / "1.png", png((4, 5, 6)))
    assert captions(path).images.digest != before


def test_a_folder_of_images_with_metadata(tmp_path: Path) -> None:
    pictures(tmp_path, ["0.png", "1.png", "2.png"])
    rows = [{"file_name": f"{number}.png", "es": f"texto {number}"} for number in range(3)]
    write(tmp_path / "metadata.jsonl", lines(*map(json.dumps, rows[::-1])))
    before = captions(tmp_path).images.digest  # its order is that of the rows, and of the embeddings that are kept
    write(tmp_path / "metadata.jsonl", lines(*map(json.dumps, rows)))
    assert captions(tmp_path).images.digest != before
    content = captions(tmp_path)
    assert content.captions["es"].texts == ("texto 0", "texto 1", "texto 2")
    assert colours(content) == list(COLOURS)


def test_any_webdataset(tmp_path: Path) -> None:
    members: dict[str, bytes] = {}
    for number, colour in enumerate(COLOURS):
        members |= {f"{number}.png": png(colour), f"{number}.txt": f"text {number}".encode()}
    content = captions(archive(tmp_path / "a.tar", members), "en")
    assert content.captions["en"].texts == ("text 0", "text 1", "text 2")
    assert content.images.keys == ("0", "1", "2")
    assert colours(content) == list(COLOURS)


@pytest.mark.parametrize(
    ("columns", "languages", "words"),
    [
        ({"en": ["a", "b", None]}, (), "captions, en: 1 of 3 images have no caption: 2"),
        ({"en": ["a", "b", "c"], "id": ["x", "y", "x"]}, (), "images that stand twice: x"),
        ({"en": ["a", "b", "c"]}, ("en", "fr"), "has no captions in fr: it has en"),
        ({"words": ["a", "b", "c"]}, ("en",), "has the columns image, words: expected one named captions"),
    ],
)
def test_what_is_wrong_is_named(
    columns: dict[str, Any], languages: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    path = parquet(tmp_path, **columns)
    with pytest.raises(DataError, match=words):
        captions(path, *languages)


def test_captions_left_blank_are_left_out_by_name(tmp_path: Path) -> None:
    content = captions(parquet(tmp_path, en=[["a", " "], ["b"], ["c"]]))
    assert content.notes == ("en: 1 captions without words left out: row of 0",)


def test_a_table_cut_short_is_named(tmp_path: Path) -> None:
    path = parquet(tmp_path, en=["a", "b", "c"])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="a.parquet cannot be opened"):
        captions(path)


# --- labels -------------------------------------------------------------------------------------------------------


def test_labels_that_are_names(tmp_path: Path) -> None:
    path = parquet(tmp_path, label=["dog", "cat", "dog"])
    content = labels(path)
    assert content.images.keys == ("dog", "cat", "dog")
    assert content.labels.names == {"dog": {"en": ("dog",)}, "cat": {"en": ("cat",)}}
    assert labels(path, "de").languages == ("de",)


def test_names_by_language_from_a_file_beside_it(tmp_path: Path) -> None:
    path = parquet(tmp_path, label=[0, 10, 2])
    with pytest.raises(DataError, match="has no names of classes"):
        labels(path)
    write(tmp_path / "label.txt", lines("dog", "horse", "cat"))  # 0, 2, 10: numbers in the order of numbers
    write(tmp_path / "label_cn.txt", lines("狗", "马", "猫"))
    content = labels(path)
    assert content.languages == ("en", "zh")
    assert content.labels.names["10"] == {"en": ("cat",), "zh": ("猫",)}


def test_a_table_of_classes_keeps_the_names_that_it_has(tmp_path: Path) -> None:
    """A column of the `datasets` library's kind: integers that stand for names."""
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "a.parquet"
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["dog", "cat"])})
    datasets.Dataset.from_dict({"image": IMAGES, "label": [0, 1, 0]}, features).to_parquet(str(path))
    assert labels(path).images.keys == ("dog", "cat", "dog")


def test_a_label_without_a_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected one named label, class, cls, wnid"):
        labels(parquet(tmp_path, en=["a", "b", "c"]))


def test_ids_are_no_names(tmp_path: Path) -> None:
    """Neither numbers nor WordNet's ids say anything to a model."""
    with pytest.raises(DataError, match="has no names of classes"):
        labels(parquet(tmp_path, wnid=["n03617480", "n01443537", "n03617480"]))
