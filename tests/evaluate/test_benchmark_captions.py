"""Every set with captions, read from files of its real form; then every way in which such files are wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from altclip.errors import DataError, UsageError
from altclip.evaluate.benchmarks import BENCHMARKS, Caption, CaptionSet, open_benchmark
from altclip.evaluate.benchmarks.content import caption_set
from altclip.evaluate.images import ImageSet
from altclip.processing import open_image
from tests.evaluate import benchmark_files as files
from tests.evaluate.benchmark_files import COLOURS, SETS, lines, small, write
from tests.evaluate.made import png


def opened(name: str, root: Path, *languages: str) -> CaptionSet:
    content = open_benchmark(small(name), root, languages)
    assert isinstance(content, CaptionSet)
    return content


def images_of(content: CaptionSet, language: str, number: int) -> list[str]:
    owners = content.captions[language].owners[number]
    return [content.images.keys[owner] for owner in owners if owner >= 0]


# --- every set ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_every_set_is_read_from_its_files(name: str, tmp_path: Path) -> None:
    """Each caption belongs to the image whose number it holds, in every language; images open, in their order."""
    SETS[name][0](tmp_path)
    content = opened(name, tmp_path)
    assert tuple(content.captions) == BENCHMARKS[name].languages
    for language, captions in content.captions.items():
        for number, text in enumerate(captions.texts):
            if not text.endswith("both"):
                assert text.split(",")[0].startswith(f"{language} {captions.owners[number, 0]}")
    for number, colour in enumerate(COLOURS):
        shown = np.asarray(open_image(content.images.at(number))).mean(axis=(0, 1))
        assert shown == pytest.approx(colour, abs=2)


@pytest.mark.parametrize("name", [name for name in SETS if BENCHMARKS[name].images is not None])
def test_the_real_row_refuses_a_part_of_the_set(name: str, tmp_path: Path) -> None:
    row = BENCHMARKS[name]
    SETS[name][0](tmp_path)
    with pytest.raises(DataError, match=r"expected (31,014|123,287|1,000|3,600)"):
        open_benchmark(row, tmp_path)


@pytest.mark.parametrize("name", SETS)
def test_without_files_it_says_which_and_where_they_are_had(name: str, tmp_path: Path) -> None:
    row = BENCHMARKS[name]
    with pytest.raises(DataError) as caught:
        open_benchmark(row, tmp_path)
    message = str(caught.value)
    assert row.title in message
    for form in row.forms:
        for wanted in form.wanted:
            assert wanted.paths[0] in message
            assert wanted.source in message


def test_the_sets_of_the_papers_are_all_there() -> None:
    wanted = (
        "flickr30k flickr30k_cn flickr30k_cna mscoco_1k mscoco_5k coco_cn xtd10 crossmodal3600 multi30k wukong50k "
        "muge multi30k_task2 flickr8k imagenet imagenet_v2 imagenet_sketch imagenet_a imagenet_r imagenet_cn "
        "cifar10 cifar100 webdataset"
    )
    assert set(wanted.split()) <= set(BENCHMARKS)
    assert len(BENCHMARKS["xtd10"].languages) == 11
    assert len(set(BENCHMARKS["crossmodal3600"].languages)) == 36


# --- what is special in one of them --------------------------------------------------------------------------------


def test_the_five_files_of_a_language_caption_the_same_images(tmp_path: Path) -> None:
    files.multi30k_task2(tmp_path)
    german = opened("multi30k_task2", tmp_path, "de").captions["de"]
    assert german.texts[:4] == ("de 0 0", "de 1 0", "de 2 0", "de 0 1")
    assert german.owners[:, 0].tolist() == [0, 1, 2] * 5


def test_the_first_five_sentences_of_mscoco_count(tmp_path: Path) -> None:
    files.mscoco(tmp_path)
    assert all(int(text.split()[2]) < 5 for text in opened("mscoco_5k", tmp_path).captions["en"].texts)


def test_mscoco_1k_is_in_parts_and_5k_is_not(tmp_path: Path) -> None:
    files.mscoco(tmp_path)
    assert (opened("mscoco_1k", tmp_path).folds, opened("mscoco_5k", tmp_path).folds) == (3, 1)
    assert BENCHMARKS["mscoco_1k"].forms[0].read.keywords["folds"] == 5  # type: ignore[attr-defined]


def test_words_of_flickr30k_cn_are_joined_again(tmp_path: Path) -> None:
    files.flickr30k_cn_segmented(tmp_path)
    content = opened("flickr30k_cn", tmp_path)
    assert content.captions["zh"].texts[:2] == ("zh00", "zh01")
    assert content.images.keys == tuple(f"{key}.jpg" for key in files.FLICKR)


def test_a_text_of_several_images_and_images_without_texts(tmp_path: Path) -> None:
    files.muge(tmp_path)
    content = opened("muge", tmp_path)
    assert content.distractors
    assert images_of(content, "zh", 6) == ["1000", "1002"]
    assert content.notes == ("zh: 1 of 4 images have no caption; they stand for choice and are not asked for",)


def test_coco_cn_takes_its_test_images_from_both_folders(tmp_path: Path) -> None:
    files.coco_cn(tmp_path)
    content = opened("coco_cn", tmp_path)
    assert {Path(path).parent.name for path in content.images} == {"train2014", "val2014"}


def test_languages_are_chosen_and_others_files_are_not_needed(tmp_path: Path) -> None:
    files.xtd10(tmp_path)
    (tmp_path / "STAIR/test_1kcaptions_jp.txt").unlink()
    assert tuple(opened("xtd10", tmp_path, "zh", "en").captions) == ("zh", "en")
    with pytest.raises(DataError, match=r"test_1kcaptions_jp.txt.*ask for the languages that are there"):
        opened("xtd10", tmp_path)
    with pytest.raises(UsageError, match="xtd10 has no ar: it has en, de"):
        opened("xtd10", tmp_path, "ar")


def test_a_changed_image_changes_the_digest(tmp_path: Path) -> None:
    files.flickr30k_cna(tmp_path)
    before = opened("flickr30k_cna", tmp_path).images.digest
    assert opened("flickr30k_cna", tmp_path).images.digest == before
    write(tmp_path / f"flickr30k-images/{files.FLICKR[1]}.jpg", png((1, 2, 3)))
    assert opened("flickr30k_cna", tmp_path).images.digest != before


def test_line_ends_may_be_mixed_and_a_mark_may_stand_first(tmp_path: Path) -> None:
    files.flickr30k_cna(tmp_path)
    path = tmp_path / "test/flickr30k_cna_test.txt"
    plain = opened("flickr30k_cna", tmp_path).captions["zh"].texts
    content = path.read_bytes().replace(b"\n", b"\r\n", 2).replace(b"1\n", b"1\r", 1)
    path.write_bytes(b"\xef\xbb\xbf" + content)
    assert opened("flickr30k_cna", tmp_path).captions["zh"].texts == plain


def test_a_line_separator_within_a_caption_ends_no_line(tmp_path: Path) -> None:
    """str.splitlines would make two lines of one, and every caption after it would be another image's."""
    files.multi30k(tmp_path)
    text = lines("en 0\u2028more", "en 1\x85more", "en 2\x0cmore").encode()
    (tmp_path / "data/task1/raw/test_2016_flickr.en.gz").write_bytes(gzip.compress(text))
    assert len(opened("multi30k", tmp_path, "en").captions["en"].texts) == 3


def test_captions_without_words_are_left_out_by_name(tmp_path: Path) -> None:
    files.flickr30k_cna(tmp_path)
    path = tmp_path / "test/flickr30k_cna_test.txt"
    path.write_text(path.read_text(encoding="utf-8") + f"{files.FLICKR[0]}#7\t \n{files.FLICKR[0]}#8\n", "utf-8")
    content = opened("flickr30k_cna", tmp_path)
    assert content.notes == (
        "zh: 2 captions without words left out: line 7 of flickr30k_cna_test.txt, line 8 of flickr30k_cna_test.txt",
    )
    path.write_text(path.read_text(encoding="utf-8").replace("zh 0 1", ""), "utf-8")
    with pytest.raises(DataError, match=r"5 captions in zh, expected 6; zh: 3 captions without words left out: line 2"):
        opened("flickr30k_cna", tmp_path)


# --- files that are wrong -------------------------------------------------------------------------------------------


def edit(path: Path, old: str, new: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new, 1), encoding="utf-8")


def cut(path: Path, share: float = 0.6) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def recode(path: Path, encoding: str) -> None:
    path.write_bytes((path.read_text(encoding="utf-8") + "中文\n").encode(encoding))


COCO_CN = "coco-cn-version1805v1.1/imageid.human-written-caption.txt"
FIRST = f"{files.FLICKR[0]}.jpg"
FAULTS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "images missing": (
        "flickr30k",
        lambda root: (root / "flickr30k-images" / FIRST).unlink(),
        rf"1 of 3 images are missing in .*flickr30k-images: {FIRST}",
    ),
    "an empty image": (
        "flickr30k",
        lambda root: (root / "flickr30k-images" / FIRST).write_bytes(b""),
        rf"{FIRST} \(empty\)",
    ),
    "a JSON file cut short": (
        "flickr30k",
        lambda root: cut(root / "dataset_flickr30k.json"),
        r"dataset_flickr30k.json, line 1: .*cut short",
    ),
    "JSON of another form": (
        "flickr30k",
        lambda root: write(root / "dataset_flickr30k.json", '{"annotations": []}'),
        r"KeyError\('images'\); expected Karpathy's form",
    ),
    "an image twice in JSON": (
        "flickr30k",
        lambda root: edit(root / "dataset_flickr30k.json", f"{files.FLICKR[1]}.jpg", FIRST),
        "1 of 3 images of the split test stand twice",
    ),
    "an image without captions": (
        "coco_cn",
        lambda root: edit(
            root / "coco-cn-version1805v1.1/imageid.human-written-caption.txt",
            f"{files.COCO[1]}#0",
            f"{files.COCO[0]}#9",
        ),
        f"zh: 1 of 3 images have no caption: {files.COCO[1]}.jpg",
    ),
    "captions without an image": (
        "flickr30k_cn",
        lambda root: edit(root / "test_texts.jsonl", "[1001]", "[1001, 7777]"),
        r"captions of images that the set does not have: 7777 \(text 10\)",
    ),
    "a caption of no image": (
        "flickr30k_cn",
        lambda root: edit(root / "test_texts.jsonl", "[1001]", "[]"),
        r"no image \(text 10\)",
    ),
    "an image id twice": (
        "flickr30k_cn",
        lambda root: edit(root / "test_imgs.tsv", "1001\t", "1000\t"),
        "images that stand twice: 1000",
    ),
    "a text id twice": (
        "flickr30k_cn",
        lambda root: edit(root / "test_texts.jsonl", '"text_id": 11', '"text_id": 10'),
        "line 4 of test_texts.jsonl: text_id 10 stands on line 3 of test_texts.jsonl already",
    ),
    "a tsv cut short": (
        "flickr30k_cn",
        lambda root: (root / "test_imgs.tsv").write_bytes((root / "test_imgs.tsv").read_bytes()[:-3]),
        "line 3: image 1002 is cut short",
    ),
    "a tsv without tabs": (
        "flickr30k_cn",
        lambda root: edit(root / "test_imgs.tsv", "1001\t", "1001 "),
        "line 2: .*expected an id, a tab and a file in base64",
    ),
    "a jsonl cut short": (
        "flickr30k_cn",
        lambda root: cut(root / "test_texts.jsonl", 0.9),
        "test_texts.jsonl, line 6: .*cut short",
    ),
    "a jsonl of lists": (
        "flickr30k_cn",
        lambda root: write(root / "test_texts.jsonl", "[1, 2]\n"),
        r"line 1: '\[1, 2\]' is no JSON object",
    ),
    "a jsonl of other fields": (
        "flickr30k_cn",
        lambda root: write(root / "test_texts.jsonl", '{"text": "a"}\n'),
        "expected text_id, text and image_ids",
    ),
    "a caption number twice": (
        "flickr30k_cna",
        lambda root: edit(root / "test/flickr30k_cna_test.txt", f"{files.FLICKR[0]}#1", f"{files.FLICKR[0]}#0"),
        f"line 2: {files.FLICKR[0]}#0 stands on line 1 already",
    ),
    "a line without an id": (
        "flickr30k_cna",
        lambda root: edit(root / "test/flickr30k_cna_test.txt", f"{files.FLICKR[0]}#1", "#1"),
        "line 2: '#1.*expected an image's id",
    ),
    "another Chinese encoding": (
        "flickr30k_cna",
        lambda root: recode(root / "test/flickr30k_cna_test.txt", "gb18030"),
        "flickr30k_cna_test.txt, line 7: not UTF-8, perhaps GB18030; save it as UTF-8",
    ),
    "UTF-16": (
        "flickr30k_cna",
        lambda root: recode(root / "test/flickr30k_cna_test.txt", "utf-16"),
        "line 1: not UTF-8, but UTF-16",
    ),
    "an image of the list twice": (
        "flickr8k",
        lambda root: edit(root / "Flickr_8k.testImages.txt", "1001773457_577c3a7d70", "1000268201_693b08cb0e"),
        "images that stand twice: 1000268201_693b08cb0e.jpg",
    ),
    "one language without captions of the list": (
        "flickr8k",
        lambda root: write(root / "Flickr8k.arabic.full.txt", "other.jpg#0\tword\n"),
        "flickr8k has no captions in ar: leave the language out",
    ),
    "a line missing": (
        "xtd10",
        lambda root: write(root / "XTD10/test_1kcaptions_zh.txt", lines("zh 0", "zh 2")),
        "test_1kcaptions_zh.txt has 2 lines for 3 images: .*line n is of image n",
    ),
    "a blank line": (
        "xtd10",
        lambda root: write(root / "XTD10/test_1kcaptions_zh.txt", lines("zh 0", "", "zh 2")),
        f"xtd10, zh: 1 of 3 images have no caption: {files.COCO[1]}.jpg",
    ),
    "a name twice": (
        "xtd10",
        lambda root: edit(root / "XTD10/test_image_names.txt", files.COCO[1], files.COCO[0]),
        "1 of 3 names stand twice",
    ),
    "gzip cut short": (
        "multi30k",
        lambda root: cut(root / "data/task1/raw/test_2016_flickr.fr.gz"),
        r"test_2016_flickr.fr.gz cannot be unpacked .*cut short",
    ),
    "no gzip at all": (
        "multi30k",
        lambda root: write(root / "data/task1/raw/test_2016_flickr.fr.gz", "<html>not found</html>"),
        r"test_2016_flickr.fr.gz cannot be unpacked",
    ),
    "a language missing for one image": (
        "crossmodal3600",
        lambda root: edit(
            root / "captions.jsonl", '"quz": {"caption": ["quz 0 0", "quz 0 1"]', '"quz": {"caption": []'
        ),
        "crossmodal3600, quz: 1 of 3 images have no caption: 000411001ff7dd4f",
    ),
    "a key twice": (
        "crossmodal3600",
        lambda root: edit(root / "captions.jsonl", "000d67245642c5f5", "000411001ff7dd4f"),
        "line 2 of captions.jsonl: image 000411001ff7dd4f stands twice",
    ),
    "no key": (
        "crossmodal3600",
        lambda root: edit(root / "captions.jsonl", "image/key", "key"),
        "expected image/key and captions by language",
    ),
    "a csv of other columns": (
        "wukong_test",
        lambda root: write(root / "wukong_test.csv", lines("url,caption", "http://x,word")),
        "1 rows: expected some, with the columns text, dir in each",
    ),
    "images not fetched": (
        "wukong50k",
        lambda root: (root / "images/1.jpg").unlink(),
        "1 of 3 images are missing in .*images: 1.jpg",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_named(fault: str, tmp_path: Path) -> None:
    name, spoil, words = FAULTS[fault]
    SETS[name][0](tmp_path)
    opened(name, tmp_path)
    spoil(tmp_path)
    with pytest.raises(DataError, match=words):
        opened(name, tmp_path)


def test_base64_that_is_none_is_named_when_the_image_is_wanted(tmp_path: Path) -> None:
    files.flickr30k_cn(tmp_path)
    edit(tmp_path / "test_imgs.tsv", "1001\tiVBO", "1001\tiV!O")
    images = opened("flickr30k_cn", tmp_path).images
    with pytest.raises(DataError, match="image 1001: .*get the file anew"):
        images.at(1)


def test_many_missing_images_are_counted_and_some_named(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(9)]
    files.pictures(tmp_path / "flickr30k-images", names[:1])
    write(tmp_path / "test/flickr30k_cna_test.txt", lines(*(f"{number}#0\tword" for number in range(9))))
    with pytest.raises(DataError, match=r"8 of 9 images are missing in .*: 1.jpg, .*, 5.jpg and 3 more"):
        open_benchmark(small("flickr30k_cna"), tmp_path)


# --- putting together ---------------------------------------------------------------------------------------------


def made_images(*keys: str) -> ImageSet:
    return ImageSet("a set", lambda number: png(COLOURS[number]), keys, "digest")


def test_a_set_without_images_or_parts_that_do_not_come_out_even_is_refused() -> None:
    with pytest.raises(DataError, match="a set has no images"):
        caption_set(made_images(), {})
    captions = {"en": [Caption("word", ("a", "b", "c"), "line 1")]}
    with pytest.raises(DataError, match="3 images cannot be divided into 2 equal parts"):
        caption_set(made_images("a", "b", "c"), captions, folds=2)


def test_captions_are_kept_as_written_but_for_outer_spaces() -> None:
    content = caption_set(made_images("a"), {"en": [Caption("  Two  words </s>\n", ("a",), "line 1")]})
    assert content.captions["en"].texts == ("Two  words </s>",)


def test_a_row_is_data_that_can_be_shown(tmp_path: Path) -> None:
    """Every row says what it wants in full: no path twice, no key twice in one form."""
    for row in BENCHMARKS.values():
        for form in row.forms:
            keys = [wanted.key for wanted in form.wanted]
            assert len(set(keys)) == len(keys), row.name
            assert all(wanted.paths and wanted.source for wanted in form.wanted)
    assert json.dumps([row.title for row in BENCHMARKS.values()])
