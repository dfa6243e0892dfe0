"""Tiny sets in the forms in which their authors hand them out: three images, made captions, the real file names.

`SETS` has for each set of the catalogue how it is written, and `small` the catalogue's row with the counts of what was
written in place of the real ones. Ids are of the real form, captions are made.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from altclip.evaluate.benchmarks import BENCHMARKS, Benchmark, Form
from altclip.evaluate.benchmarks.formats import karpathy
from tests.evaluate.made import png

FLICKR = ("1000092795", "10002456", "1000268201")
COCO = ("COCO_val2014_000000391895", "COCO_val2014_000000060623", "COCO_train2014_000000483108")
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(*rows: str) -> str:
    return "".join(f"{row}\n" for row in rows)


def pictures(folder: Path, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        write(folder / name, png(COLOURS[number % 3]))


def caption(language: str, image: int, number: int = 0) -> str:
    return f"{language} {image} {number}"


# --- sets with captions ---


def flickr30k(root: Path) -> None:
    """Five images in all, three of them in the split `test`; five sentences each."""
    pictures(root / "flickr30k-images", [f"{key}.jpg" for key in FLICKR])
    write(root / "dataset_flickr30k.json", json.dumps(karpathy_json([f"{key}.jpg" for key in FLICKR], 5)))


def karpathy_json(names: Sequence[str], each: int) -> dict[str, Any]:
    rows = [
        {
            "filename": name,
            "imgid": number,
            "split": split,
            "sentids": [],
            "sentences": [{"raw": caption("en", number, n), "tokens": [], "imgid": number} for n in range(each)],
        }
        for number, (name, split) in enumerate([(n, "test") for n in names] + [("a.jpg", "train"), ("b.jpg", "val")])
    ]
    return {"images": [rows[3], *rows[:3], rows[4]], "dataset": "flickr30k"}


def mscoco(root: Path) -> None:
    names = [f"COCO_val2014_{number:012}.jpg" for number in (391895, 60623, 483108)]
    pictures(root / "val2014", names)
    write(root / "dataset_coco.json", json.dumps(karpathy_json(names, 6)))


def flickr30k_cn(root: Path) -> None:
    """Chinese-CLIP's form."""
    chinese_clip(root, "test")


def chinese_clip(root: Path, split: str) -> None:
    images = [f"{1000 + n}\t{base64.b64encode(png(colour)).decode()}" for n, colour in enumerate(COLOURS)]
    write(root / f"{split}_imgs.tsv", lines(*images))
    texts = [
        {"text_id": 10 * n + k, "text": caption("zh", n, k), "image_ids": [1000 + n]}
        for n in range(3)
        for k in range(2)
    ]
    write(root / f"{split}_texts.jsonl", lines(*(json.dumps(row, ensure_ascii=False) for row in texts)))


def flickr30k_cn_segmented(root: Path) -> None:
    """The authors' own form: words with their part of speech."""
    folder = root / "flickr30kzhmbosontest"
    pictures(root / "flickr30k-images", [f"{key}.jpg" for key in FLICKR])
    write(folder / "ImageSets/flickr30kzhmbosontest.txt", lines(*FLICKR))
    texts = [f"{key}#zhm#{k} zh:n {n}:m {k}:w" for n, key in enumerate(FLICKR) for k in range(2)]
    write(folder / "TextData/seg.flickr30kzhmbosontest.caption.txt", lines(*texts))


def flickr30k_cna(root: Path) -> None:
    pictures(root / "flickr30k-images", [f"{key}.jpg" for key in FLICKR])
    texts = [f"{key}#{k}\t{caption('zh', n, k)}" for n, key in enumerate(FLICKR) for k in range(2)]
    write(root / "test/flickr30k_cna_test.txt", lines(*texts))


def coco_cn(root: Path) -> None:
    """Captions of the test images and of another one; images in both of MSCOCO's folders."""
    folder = root / "coco-cn-version1805v1.1"
    coco_pictures(root)
    write(folder / "coco-cn_test.txt", lines(*COCO))
    texts = [f"{key}#0\t{caption('zh', n)}" for n, key in enumerate(COCO)]
    texts += [f"{COCO[0]}#1\t{caption('zh', 0, 1)}", "COCO_train2014_000000000009#0\tof the training split"]
    write(folder / "imageid.human-written-caption.txt", lines(*texts))


def coco_pictures(root: Path) -> None:
    (root / "train2014").mkdir(parents=True)
    for key, colour in zip(COCO, COLOURS, strict=True):
        write(root / key.split("_")[1] / f"{key}.jpg", png(colour))


def xtd10(root: Path) -> None:
    coco_pictures(root)
    write(root / "XTD10/test_image_names.txt", lines(*(f"{key}.jpg" for key in COCO)))
    folders = {"en": "MIC", "de": "MIC", "fr": "MIC", "ja": "STAIR"}
    for language in ("en", "de", "es", "fr", "it", "ja", "ko", "pl", "ru", "tr", "zh"):
        file = f"test_1kcaptions_{'jp' if language == 'ja' else language}.txt"
        texts = [caption(language, number) for number in range(3)]
        write(root / folders.get(language, "XTD10") / file, lines(*texts))


def crossmodal3600(root: Path) -> None:
    languages = BENCHMARKS["crossmodal3600"].languages
    keys = ["000411001ff7dd4f", "000d67245642c5f5", "0014b3b71ac55a41"]
    pictures(root / "images", [f"{key}.jpg" for key in keys])
    rows = [
        {
            "image/key": key,
            "image/locale": "en",
            **{
                code: {"caption": [caption(code, n, k) for k in range(2)], "caption/tokenized": []}
                for code in languages
            },
        }
        for n, key in enumerate(keys)
    ]
    write(root / "captions.jsonl", lines(*(json.dumps(row, ensure_ascii=False) for row in rows)))


def multi30k(root: Path) -> None:
    pictures(root / "flickr30k-images", [f"{key}.jpg" for key in FLICKR])
    folder = root / "data/task1"
    write(folder / "image_splits/test_2016_flickr.txt", lines(*(f"{key}.jpg" for key in FLICKR)))
    for language in ("en", "de", "fr", "cs"):
        texts = lines(*(caption(language, number) for number in range(3)))
        write(folder / f"raw/test_2016_flickr.{language}.gz", gzip.compress(texts.encode()))


def multi30k_task2(root: Path) -> None:
    pictures(root / "flickr30k-images", [f"{key}.jpg" for key in FLICKR])
    folder = root / "data/task2"
    write(folder / "image_splits/test_2016_images.txt", lines(*(f"{key}.jpg" for key in FLICKR)))
    for language in ("en", "de"):
        for k in range(5):
            texts = lines(*(caption(language, number, k) for number in range(3)))
            write(folder / f"raw/test_2016.{k + 1}.{language}.gz", gzip.compress(texts.encode()))


def flickr8k(root: Path) -> None:
    names = ("1000268201_693b08cb0e.jpg", "1001773457_577c3a7d70.jpg", "1002674143_1b742ab4b8.jpg")
    pictures(root / "Flicker8k_Dataset", names)
    write(root / "Flickr_8k.testImages.txt", lines(*names))
    train = "1009434119_febe49276a.jpg"
    english = [f"{name}#{k}\t{caption('en', n, k)}" for n, name in enumerate((*names, train)) for k in range(5)]
    chinese = [f"{name}#zhc#{k} {caption('zh', n, k)}" for n, name in enumerate((*names, train)) for k in range(5)]
    arabic = [f"{name}#{k}\t{caption('ar', n, k)}" for n, name in enumerate((*names, train)) for k in range(3)]
    write(root / "Flickr8k.token.txt", lines(*english))
    write(root / "flickr8kzhc.caption.txt", lines(*chinese))
    write(root / "Flickr8k.arabic.full.txt", lines(*arabic))


def muge(root: Path) -> None:
    """A text of two images, and an image that no text names."""
    chinese_clip(root, "valid")
    extra = f"2000\t{base64.b64encode(png((9, 9, 9))).decode()}"
    with (root / "valid_imgs.tsv").open("a", encoding="utf-8") as file:
        file.write(f"{extra}\n")
    with (root / "valid_texts.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"text_id": 99, "text": "zh both", "image_ids": [1000, 1002]}) + "\n")


def wukong_test(root: Path) -> None:
    pictures(root / "wukong_test", ["00.jpg", "01.jpg", "02.jpg"])
    rows = [f'0{n}.jpg,"{caption("zh", n)}, twice",tokens,http://x/{n},{n}' for n in range(3)]
    write(root / "wukong_test.csv", lines("dir,text,token,url,alt_id", *rows))


def wukong50k(root: Path) -> None:
    pictures(root / "images", ["0.jpg", "1.jpg", "2.jpg"])
    rows = [f"http://x/{n},{caption('zh', n)}" for n in range(3)]
    write(root / "wukong50k_release.csv", lines("url,caption", *rows))


def archive(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def webdataset(root: Path, retrieval: bool = True) -> None:
    """Two archives, as CLIP_benchmark's converter names them."""
    write(root / "dataset_type.txt", "retrieval\n" if retrieval else "classification\n")
    samples = {f"s{n:07}": (png(c), n) for n, c in enumerate(COLOURS)}
    for shard, keys in enumerate((("s0000000", "s0000001"), ("s0000002",))):
        members = {}
        for key in keys:
            image, number = samples[key]
            members[f"{key}.png"] = image
            text = f"{caption('en', number, 0)}\n{caption('en', number, 1)}" if retrieval else str(number % 2)
            members[f"{key}.{'txt' if retrieval else 'cls'}"] = text.encode()
        archive(root / f"test/{shard}.tar", members)
    write(root / "test/nshards.txt", "2\n")
    if not retrieval:
        write(root / "classnames.txt", lines("red or blue", "green"))


# --- sets with classes ---

WNIDS = ("n01440764", "n01443537", "n01484850", "n01491361")
NAMES = ("tench", "goldfish", "great white shark", "tiger shark")


def class_folders(root: Path, folder: str, classes: Sequence[str], each: int = 2) -> None:
    for number, key in enumerate(classes):
        pictures(root / folder / key, [f"{number}_{k}.JPEG" for k in range(each)])


def imagenet(root: Path, folder: str = "val", classes: Sequence[str] = WNIDS) -> None:
    class_folders(root, folder, classes)
    write(
        root / "LOC_synset_mapping.txt",
        lines(*(f"{key} {name}, other name" for key, name in zip(WNIDS, NAMES, strict=True))),
    )
    write(root / "label_cn.txt", lines("丁鲷", "金鱼", "大白鲨", "虎鲨"))


def cifar(root: Path, file: str, label_bytes: int, classes: Sequence[int]) -> None:
    draw = np.random.default_rng(0)
    records = [
        bytes([7] * (label_bytes - 1) + [key]) + draw.integers(0, 256, 3072, dtype=np.uint8).tobytes()
        for key in classes
    ]
    write(root / file, b"".join(records))


# --- the catalogue's rows, with the counts of what is written here ---

SETS: dict[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    "flickr30k": (flickr30k, {"images": 3, "captions": 15}),
    "mscoco_5k": (mscoco, {"images": 3, "captions": 15}),
    "mscoco_1k": (mscoco, {"images": 3, "captions": 15}),
    "flickr30k_cn": (flickr30k_cn, {"images": 3, "captions": 6}),
    "flickr30k_cna": (flickr30k_cna, {"images": 3, "captions": 6}),
    "coco_cn": (coco_cn, {"images": 3, "captions": 4}),
    "xtd10": (xtd10, {"images": 3, "captions": 3}),
    "crossmodal3600": (crossmodal3600, {"images": 3, "captions": 6}),
    "multi30k": (multi30k, {"images": 3, "captions": 3}),
    "multi30k_task2": (multi30k_task2, {"images": 3, "captions": 15}),
    "flickr8k": (flickr8k, {"images": 3, "captions": {"en": 15, "zh": 15, "ar": 9}}),
    "muge": (muge, {"images": 4, "captions": 7}),
    "chinese_clip": (lambda root: chinese_clip(root, "test"), {"images": 3, "captions": 6}),
    "wukong_test": (wukong_test, {"images": 3, "captions": 3}),
    "wukong50k": (wukong50k, {"images": 3, "captions": 3}),
}


def small(name: str, **changes: Any) -> Benchmark:
    """The row of the catalogue with other counts; of Karpathy's files, five images in all, and folds of one image."""
    row = replace(BENCHMARKS[name], **({**SETS[name][1], **changes} if name in SETS else changes))
    if name not in ("flickr30k", "mscoco_5k", "mscoco_1k"):
        return row
    options: dict[str, Any] = dict(row.forms[0].read.keywords)  # type: ignore[attr-defined]
    options |= {"total": 5} | ({"folds": 3} if "folds" in options and options["folds"] > 1 else {})
    return replace(row, forms=(Form(row.forms[0].wanted, partial(karpathy.read, **options)),))
