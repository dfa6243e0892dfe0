"""Every set with classes: class folders, CIFAR's binary files, CLIP_benchmark's archives; and files that are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from altclip.errors import DataError, UsageError
from altclip.evaluate.benchmarks import BENCHMARKS, CaptionSet, LabelledSet, open_benchmark
from altclip.evaluate.benchmarks.content import labelled_set
from altclip.evaluate.benchmarks.formats import names
from altclip.evaluate.images import ImageSet
from altclip.languages import LANGUAGES
from altclip.processing import open_image
from altclip.prompts import label_set
from tests.evaluate import benchmark_files as files
from tests.evaluate.benchmark_files import NAMES, WNIDS, lines, write


def opened(name: str, root: Path, *languages: str, images: int = 8, classes: int = 4) -> LabelledSet:
    content = open_benchmark(replace(BENCHMARKS[name], images=images, classes=classes), root, languages)
    assert isinstance(content, LabelledSet)
    return content


def names_of(content: LabelledSet, language: str) -> list[str]:
    return [by_language[language][0] for by_language in content.labels.names.values()]


# --- ImageNet and its like ----------------------------------------------------------------------------------------


def test_imagenet_with_names_in_the_languages_that_lie_beside_it(tmp_path: Path) -> None:
    files.imagenet(tmp_path)
    content = opened("imagenet", tmp_path)
    assert content.images.keys == tuple(key for key in WNIDS for _ in range(2))
    assert content.languages == ("en", "zh")
    assert names_of(content, "en") == list(NAMES)
    assert names_of(content, "zh")[1] == "金鱼"
    assert opened("imagenet", tmp_path, "zh").languages == opened("imagenet_cn", tmp_path).languages == ("zh",)


def test_imagenet_a_and_r_have_some_of_the_classes(tmp_path: Path) -> None:
    """Names in a list without keys are in the order of ImageNet's own list, not of the folders that are there."""
    files.imagenet(tmp_path, "imagenet-r", WNIDS[2:])
    write(tmp_path / "imagenet-r/README.txt", "not a class")
    content = opened("imagenet_r", tmp_path, images=4, classes=2)
    assert names_of(content, "zh") == ["大白鲨", "虎鲨"]
    assert names_of(content, "en") == list(NAMES[2:])
    assert content.notes == ("2 names of classes that no image shows left out: n01440764, n01443537",)
    (tmp_path / "LOC_synset_mapping.txt").unlink()
    with pytest.raises(DataError, match="ImageNet-R is not complete in .*Missing: LOC_synset_mapping.txt"):
        opened("imagenet_r", tmp_path)


def test_numbered_folders_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """ImageNetV2: 10 comes after 2."""
    folder = "imagenetv2-matched-frequency-format-val"
    files.class_folders(tmp_path, folder, [str(number) for number in range(11)], 1)
    write(tmp_path / "label.txt", lines(*(f"name {number}" for number in range(11))))
    content = opened("imagenet_v2", tmp_path, images=11, classes=11)
    assert list(content.labels.names) == [str(number) for number in range(11)]
    assert content.labels.names["10"] == {"en": ("name 10",)}


def test_numbered_folders_take_their_names_from_imagenets_list_by_place(tmp_path: Path) -> None:
    files.imagenet(tmp_path, "imagenetv2-matched-frequency-format-val", ("0", "1", "2", "3"))
    assert names_of(opened("imagenet_v2", tmp_path), "en") == list(NAMES)


def test_sketch_needs_no_list_where_names_have_keys(tmp_path: Path) -> None:
    files.class_folders(tmp_path, "sketch", WNIDS)
    rows = [
        {"class": key, "names": {"fr": name, "it": [name, "altro"]}} for key, name in zip(WNIDS, NAMES, strict=True)
    ]
    write(tmp_path / "labels.jsonl", lines(*map(json.dumps, rows)))
    content = opened("imagenet_sketch", tmp_path)
    assert content.languages == ("fr", "it")
    assert names_of(content, "it") == list(NAMES)


def test_clip_benchmarks_lists_of_names_are_read(tmp_path: Path) -> None:
    files.class_folders(tmp_path, "val", WNIDS)
    for code in ("cn", "jp", "it"):
        write(tmp_path / f"{code}_classnames.json", json.dumps({"imagenet1k": [f"{code} {n}" for n in NAMES]}))
    content = opened("imagenet", tmp_path)
    assert set(content.languages) == {"zh", "ja", "it"}
    assert names_of(content, "ja")[0] == "jp tench"


def test_class_folders_of_your_own(tmp_path: Path) -> None:
    files.class_folders(tmp_path, "test", ["000", "001"])
    write(tmp_path / "label_cn.txt", lines("飞机", "汽车"))
    content = open_benchmark(BENCHMARKS["folders"], tmp_path)
    assert isinstance(content, LabelledSet)
    assert names_of(content, "zh") == ["飞机", "汽车"]


def test_files_that_are_no_images_are_left_out_by_name(tmp_path: Path) -> None:
    files.imagenet(tmp_path)
    write(tmp_path / "val" / WNIDS[0] / "Thumbs.db", "x")
    assert opened("imagenet", tmp_path).notes == (f"1 files that are no images left out: {WNIDS[0]}/Thumbs.db",)


def no_names(root: Path) -> None:
    for file in root.glob("*.txt"):
        file.unlink()


def empty_class(root: Path) -> None:
    for file in (root / "val" / WNIDS[1]).iterdir():
        file.unlink()


FOLDER_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "more labels than classes": (
        lambda root: write(root / "label_cn.txt", lines(*map(str, range(5)))),
        "label_cn.txt has 5 names for 4 classes: expected one each",
    ),
    "fewer labels than classes": (
        lambda root: write(root / "label_fr.txt", lines("un")),
        "label_fr.txt has 1 names for 4 classes",
    ),
    "a class without an image": (empty_class, f"1 of 4 class folders have no image: {WNIDS[1]}"),
    "no class folders": (
        lambda root: [path.rename(root / path.name) for path in (root / "val").iterdir()],
        "val has no class folders: sort its images",
    ),
    "a class without a name": (
        lambda root: write(root / "labels.jsonl", '{"class": "n01440764", "names": {"ko": "잉어"}}\n'),
        r"3 of 4 classes have no name in ko: n01443537 \(2 images\), ",
    ),
    "a list without names": (
        lambda root: write(root / "LOC_synset_mapping.txt", lines(*WNIDS)),
        "LOC_synset_mapping.txt, line 1: 'n01440764'; expected a class such as n01440764 and its names",
    ),
    "no names": (
        no_names,
        "has no names of classes: expected LOC_synset_mapping.txt",
    ),
    "a JSON list of another set": (
        lambda root: write(root / "cn_classnames.json", '{"flowers": []}'),
        "cn_classnames.json: expected a list named imagenet1k",
    ),
    "an image missing": (
        lambda root: (root / "val" / WNIDS[0] / "0_0.JPEG").unlink(),
        "ImageNet, test: 7 images, expected 8",
    ),
}


@pytest.mark.parametrize("fault", FOLDER_FAULTS)
def test_what_is_wrong_with_folders_is_named(fault: str, tmp_path: Path) -> None:
    spoil, words = FOLDER_FAULTS[fault]
    files.imagenet(tmp_path)
    opened("imagenet", tmp_path)
    spoil(tmp_path)
    with pytest.raises(DataError, match=words):
        opened("imagenet", tmp_path)


def test_a_language_without_names_is_named(tmp_path: Path) -> None:
    files.imagenet(tmp_path)
    with pytest.raises(DataError, match="names of classes in en, zh, not in ja, ko: expected LOC_synset"):
        opened("imagenet", tmp_path, "en", "ja", "ko")


def test_the_real_rows_refuse_a_part(tmp_path: Path) -> None:
    files.imagenet(tmp_path)
    with pytest.raises(DataError, match="ImageNet, test: 8 images, expected 50,000; 4 classes, expected 1,000"):
        open_benchmark(BENCHMARKS["imagenet"], tmp_path)
    files.cifar(tmp_path, "test_batch.bin", 1, range(10))
    with pytest.raises(DataError, match="CIFAR-10, test: 10 images, expected 10,000"):
        open_benchmark(BENCHMARKS["cifar10"], tmp_path)


# --- CIFAR --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "file", "label_bytes"), [(10, "test_batch.bin", 1), (100, "test.bin", 2)])
def test_cifar_in_nine_languages(classes: int, file: str, label_bytes: int, tmp_path: Path) -> None:
    files.cifar(tmp_path, file, label_bytes, range(classes))
    content = opened(f"cifar{classes}", tmp_path, images=classes, classes=classes)
    assert content.images.keys == tuple(label_set(f"cifar{classes}", "en"))
    assert set(content.languages) == set(LANGUAGES)
    for language in LANGUAGES:
        assert names_of(content, language) == list(label_set(f"cifar{classes}", language).values())
    record = np.frombuffer((tmp_path / file).read_bytes(), np.uint8).reshape(classes, -1)[3]
    pixels = np.asarray(open_image(content.images.at(3)))
    assert (pixels[:, :, 0] == record[label_bytes:][:1024].reshape(32, 32)).all()  # red comes first, row by row
    assert (pixels[:, :, 2] == record[label_bytes:][2048:].reshape(32, 32)).all()


def test_cifars_official_order_of_names() -> None:
    """The numbers in the binary files stand for batches.meta.txt's and fine_label_names.txt's lines."""
    assert " ".join(label_set("cifar10", "en")) == "airplane automobile bird cat deer dog frog horse ship truck"
    fine = list(label_set("cifar100", "en"))
    assert (fine[0], fine[1], fine[50], fine[99]) == ("apple", "aquarium_fish", "mouse", "worm")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is 0 bytes: expected a multiple of 3,073"),
        (bytes(3073 + 100), "is 3,173 bytes: expected a multiple of 3,073; it is cut short"),
        (bytes([10]) + bytes(3072), "has a class 10: expected 0 to 9"),
    ],
)
def test_a_damaged_binary_file_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    write(tmp_path / "cifar-10-batches-bin/test_batch.bin", content)
    with pytest.raises(DataError, match=words):
        opened("cifar10", tmp_path)


def test_a_language_that_cifar_has_no_names_in(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cifar10 has no de: it has en, zh"):
        open_benchmark(BENCHMARKS["cifar10"], tmp_path, ["de"])


# --- CLIP_benchmark's archives ------------------------------------------------------------------------------------


def test_archives_with_captions(tmp_path: Path) -> None:
    files.webdataset(tmp_path)
    content = open_benchmark(BENCHMARKS["webdataset"], tmp_path, ["en"])
    assert isinstance(content, CaptionSet)
    assert content.images.keys == ("s0000000", "s0000001", "s0000002")
    assert content.captions["en"].texts[2:4] == ("en 1 0", "en 1 1")
    assert content.captions["en"].owners.tolist() == [[0], [0], [1], [1], [2], [2]]
    assert np.asarray(open_image(content.images.at(2))).mean(axis=(0, 1)).tolist() == [0, 0, 255]


def test_captions_in_archives_need_a_language(tmp_path: Path) -> None:
    files.webdataset(tmp_path)
    with pytest.raises(DataError, match="does not say the language of its captions: ask for one"):
        open_benchmark(BENCHMARKS["webdataset"], tmp_path)


def test_archives_with_classes(tmp_path: Path) -> None:
    files.webdataset(tmp_path, retrieval=False)
    content = open_benchmark(BENCHMARKS["webdataset"], tmp_path)
    assert isinstance(content, LabelledSet)
    assert content.images.keys == ("0", "1", "0")
    assert names_of(content, "en") == ["red or blue", "green"]
    (tmp_path / "dataset_type.txt").unlink()  # then it is classification
    assert isinstance(open_benchmark(BENCHMARKS["webdataset"], tmp_path), LabelledSet)


def test_archives_whose_last_classes_have_no_image(tmp_path: Path) -> None:
    files.webdataset(tmp_path, retrieval=False)
    write(tmp_path / "classnames.txt", lines("red or blue", "green", "never shown"))
    content = open_benchmark(BENCHMARKS["webdataset"], tmp_path)
    assert content.notes == ("1 names of classes that no image shows left out: 2",)


def cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


def add(root: Path, **members: bytes) -> None:
    """In place of the second archive; `x_png` for x.png."""
    files.archive(root / "test/1.tar", {name.replace("_", "."): content for name, content in members.items()})


TAR_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short in a file": (lambda root: cut(root / "test/0.tar", 700), "0.tar cannot be read .*cut short"),
    "no archive": (lambda root: write(root / "test/1.tar", "<html>"), "1.tar cannot be read"),
    "an archive missing": (lambda root: (root / "test/1.tar").unlink(), "lacks 1.tar of 2 archives"),
    "a number that is none": (lambda root: write(root / "test/nshards.txt", "two"), "says 'two': expected the number"),
    "another type": (lambda root: write(root / "dataset_type.txt", "multilabel"), "says 'multilabel': expected"),
    "an image without text": (lambda root: add(root, x_png=b"1"), "sample x has .png: expected one image and a .txt"),
    "a text without an image": (lambda root: add(root, x_txt=b"1"), "sample x has .txt: expected one image"),
    "a text that is not UTF-8": (lambda root: add(root, x_png=b"1", x_txt=b"\xd6\xd0"), "sample x: not UTF-8"),
    "a sample twice": (
        lambda root: files.archive(root / "test/1.tar", {"s0000000.png": b"1"}),
        "s0000000.png stands twice",
    ),
    "an image with a blank text": (
        lambda root: add(root, x_png=b"1", x_txt=b" "),
        "webdataset, en: 1 of 3 images have no caption: x",
    ),
}


@pytest.mark.parametrize("fault", TAR_FAULTS)
def test_what_is_wrong_with_archives_is_named(fault: str, tmp_path: Path) -> None:
    spoil, words = TAR_FAULTS[fault]
    files.webdataset(tmp_path)
    spoil(tmp_path)
    with pytest.raises(DataError, match=words):
        open_benchmark(BENCHMARKS["webdataset"], tmp_path, ["en"])


def test_a_class_that_is_no_number_is_named(tmp_path: Path) -> None:
    files.webdataset(tmp_path, retrieval=False)
    files.archive(tmp_path / "test/1.tar", {"x.png": b"1", "x.cls": b"cat"})
    with pytest.raises(DataError, match="a class is 'cat': expected a number"):
        open_benchmark(BENCHMARKS["webdataset"], tmp_path)


# --- putting together ---------------------------------------------------------------------------------------------


def test_a_set_needs_images_and_names() -> None:
    images = ImageSet("a set", lambda number: number, ("a", "b"), "digest")
    with pytest.raises(DataError, match="a set has 2 images and names in 0 languages"):
        labelled_set(images, {})
    with pytest.raises(DataError, match=r"1 of 2 classes have no name in en: b \(1 images\)"):
        labelled_set(images, {"en": {"a": "word", "b": " "}})
    assert labelled_set(images, {"en": {"a": " word ", "b": "other"}}).labels.names["a"] == {"en": ("word",)}


def test_files_of_names_are_told_by_their_names(tmp_path: Path) -> None:
    right = {"label.txt", "label_cn.txt", "labels.fr.txt", "classnames.txt", "ar_classnames.json", "labels.jsonl"}
    for name in right:
        write(tmp_path / name, "")
    for name in ("labels.csv", "readme.txt", "mylabel.txt", "label_CN.txt"):
        write(tmp_path / name, "")
    found = {path.name for path in names.name_files(tmp_path)}
    assert found == {
        "label.txt",
        "label_cn.txt",
        "labels.fr.txt",
        "classnames.txt",
        "ar_classnames.json",
        "labels.jsonl",
    }
