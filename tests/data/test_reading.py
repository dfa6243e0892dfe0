"""Every kind of data set that a recipe may name, opened through the `datasets` library."""

from __future__ import annotations

import csv
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from altclip.data.pairs import PairSource, image_bytes
from altclip.data.reading import class_names, open_rows
from altclip.data.texts import Captions
from altclip.errors import DataError, ImageError, MissingExtraError
from altclip.processing import open_image
from tests.train import made

PNG = made.picture((200, 10, 10), 0)
BLUE = made.picture((10, 10, 200), 1)


def write_parquet(folder: Path) -> Path:
    made.write_parquet(folder / "a.parquet", made.rows(4))
    return folder / "a.parquet"


def write_jsonl(folder: Path) -> Path:
    (folder / "0.png").write_bytes(PNG)
    lines = [json.dumps({"image": "0.png", "caption": f"number {n}"}) for n in range(4)]
    (folder / "a.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "a.jsonl"


def write_table(folder: Path, name: str, separator: str) -> Path:
    (folder / "0.png").write_bytes(PNG)
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["image", "caption"])
        writer.writerows(["0.png", f'a "quoted", text {n}'] for n in range(4))
    return folder / name


def write_webdataset(folder: Path, name: str = "a.tar", start: int = 0) -> Path:
    with tarfile.open(folder / name, "w") as tar:
        for number in range(start, start + 4):
            for suffix, data in (("png", PNG), ("txt", f"number {number}".encode())):
                member = tarfile.TarInfo(f"{number:04d}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return folder / name


KINDS = {
    "parquet": (write_parquet, "image", "zh"),
    "jsonl": (write_jsonl, "image", "caption"),
    "csv": (lambda folder: write_table(folder, "a.csv", ","), "image", "caption"),
    "tsv": (lambda folder: write_table(folder, "a.tsv", "\t"), "image", "caption"),
    "webdataset": (write_webdataset, "png", "txt"),
}


@pytest.mark.parametrize("streaming", [False, True], ids=["map", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file(kind: str, streaming: bool, tmp_path: Path) -> None:
    """Rows come with text, and with an image that opens: encoded in the row, or as a path beside the file."""
    write, image, text = KINDS[kind]
    path = write(tmp_path)
    rows = open_rows(path, streaming=streaming, columns=(image, text))
    listed = list(rows)
    assert len(listed) == 4
    source = PairSource(kind, rows, Captions({"en": text}), image, folder=path.parent)
    assert source.streaming == streaming
    opened = source.open(0, listed[0])
    assert opened.size == (16, 16)
    assert opened.mode == "RGB"
    if not streaming:
        assert source.open(0).tobytes() == opened.tobytes()
        assert source.read([1, 3]) == [{text: listed[1][text]}, {text: listed[3][text]}]
    assert isinstance(listed[2][text], str)


def test_a_glob_takes_all_its_files(tmp_path: Path) -> None:
    for shard in range(3):
        write_webdataset(tmp_path, f"{shard}.tar", shard * 4)
    assert len(open_rows(tmp_path / "*.tar")) == 12


def test_a_folder_of_classes(tmp_path: Path) -> None:
    for name, data in (("blue", BLUE), ("red", PNG)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(data)
    rows = open_rows(tmp_path, columns=("image", "label"))
    assert class_names(rows, "label") == ["blue", "red"]
    assert [rows[n]["label"] for n in range(2)] == [0, 1]
    assert class_names(rows, "image") == []


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_folder_with_captions(kind: str, tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(BLUE)
    if kind == "csv":
        (tmp_path / "metadata.csv").write_text("file_name,caption\nb.png,a blue square\n", encoding="utf-8")
    else:
        line = json.dumps({"file_name": "b.png", "caption": "a blue square"})
        (tmp_path / "metadata.jsonl").write_text(line + "\n", encoding="utf-8")
    rows = open_rows(tmp_path, columns=("image", "caption"))
    assert rows[0]["caption"] == "a blue square"
    assert open_image(image_bytes(rows[0]["image"])).size == (16, 16)


def test_a_set_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network here: what counts is that the id and the split reach the library as they are."""
    import datasets

    asked: list[Any] = []

    def load(*arguments: Any, **options: Any) -> Any:
        asked.append((arguments, options))
        return datasets.Dataset.from_list([{"caption": "x"}])

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert open_rows("owner/name", hub=True, split="validation")[0] == {"caption": "x"}
    assert asked == [(("owner/name",), {"split": "validation", "streaming": False})]


def test_a_hub_set_that_cannot_be_had() -> None:
    with pytest.raises(DataError, match="data set owner/name cannot be opened"):
        open_rows("owner/name", hub=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.parquet", "does not exist"),
        ("absent-*.tar", "does not exist"),
        ("folder/absent", "neither a folder of images nor a file of a known kind"),
    ],
)
def test_what_is_not_there(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        open_rows(tmp_path / name)


def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match=r"a\.parquet cannot be opened as parquet"):
        open_rows(tmp_path / "a.parquet")


@pytest.mark.parametrize("streaming", [False, True])
def test_a_missing_column_is_named(streaming: bool, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path)
    with pytest.raises(DataError, match="no column label: it has image, caption"):
        open_rows(path, streaming=streaming, columns=("image", "label"))


def test_images_stay_encoded(tmp_path: Path) -> None:
    row = open_rows(write_parquet(tmp_path))[0]
    assert row["image"]["bytes"].startswith(b"\x89PNG")


@pytest.mark.parametrize("cell", [None, {"bytes": None, "path": None}])
def test_a_row_without_an_image(cell: Any, tmp_path: Path) -> None:
    source = PairSource("x", open_rows(write_parquet(tmp_path)), Captions({"zh": "zh"}))
    with pytest.raises(ImageError, match="no image in the column image"):
        source.open(3, {"image": cell})


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"altclip\[train\]"):
        open_rows(tmp_path)


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(PNG)
    return root


CLASSES = ("bus", "train", "bullet train", "blood test", "val-2")


def test_what_classes_and_files_are_called_tells_no_splits(tmp_path: Path) -> None:
    """`datasets` by itself would take a part of these, or none, and say nothing of the rest."""
    root = folders(tmp_path / "data [1]", *(f"{name}/{number}.png" for name in CLASSES for number in ("test_0", "1")))
    rows = open_rows(root, columns=("image", "label"))
    assert class_names(rows, "label") == sorted(CLASSES)
    assert sorted(rows["label"]) == sorted([*range(5)] * 2)
    assert len(list(open_rows(root, streaming=True))) == 10
    with pytest.raises(DataError, match="test"):
        open_rows(root, split="test")


def test_folders_of_splits_are_splits(tmp_path: Path) -> None:
    classes = folders(tmp_path / "a", "train/cat/0.png", "train/dog/1.png", "test/cat/2.png", "test/dog/2.png")
    assert [len(open_rows(classes, split=split)) for split in ("train", "test")] == [2, 2]
    listed = folders(tmp_path / "b", "train/0.png", "validation/1.png", "validation/2.png")
    for split, names in (("train", ("0.png",)), ("validation", ("1.png", "2.png"))):
        lines = [json.dumps({"file_name": name, "caption": f"of {name}"}) for name in names]
        (listed / split / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert open_rows(listed, split="validation")["caption"] == ["of 1.png", "of 2.png"]
