"""The sets for classification, a row each."""

from __future__ import annotations

from functools import partial
from typing import Final

from altclip.evaluate.benchmarks.catalogue import Benchmark, Form, Wanted
from altclip.evaluate.benchmarks.formats import cifar, folders, tables
from altclip.evaluate.benchmarks.formats.names import SYNSETS
from altclip.languages import LANGUAGES

_IMAGENET: Final = "https://image-net.org/download (ILSVRC2012, validation images sorted into class folders)"
_SYNSETS: Final = Wanted("synsets", (SYNSETS,), "https://www.kaggle.com/c/imagenet-object-localization-challenge/data")
_CN: Final = Wanted(
    "names zh",
    ("label_cn.txt",),
    "https://github.com/OFA-Sys/Chinese-CLIP/tree/master/datasets/ImageNet-1K",
)


def _folders(
    name: str, title: str, paths: tuple[str, ...], source: str, images: int, classes: int, *others: Wanted, **row: str
) -> Benchmark:
    wanted = (Wanted("images", paths, source), *others)
    languages = (row["language"],) if "language" in row else ()
    return Benchmark(name, title, (Form(wanted, folders.read),), languages, images, classes=classes)


def _cifar(classes: int, file: str, folder: str, label_bytes: int) -> Benchmark:
    source = f"https://www.cs.toronto.edu/~kriz/cifar-{classes}-binary.tar.gz"
    wanted = (Wanted("images", (f"{folder}/{file}", file), source),)
    read = partial(cifar.read, labels=f"cifar{classes}", label_bytes=label_bytes)
    return Benchmark(f"cifar{classes}", f"CIFAR-{classes}", (Form(wanted, read),), LANGUAGES, 10_000, classes=classes)


LABELLED: Final = (
    _folders("imagenet", "ImageNet", ("val", "ILSVRC2012_val", "test"), _IMAGENET, 50_000, 1000),
    _folders(
        "imagenet_cn", "ImageNet-CN", ("val", "ILSVRC2012_val", "test"), _IMAGENET, 50_000, 1000, _CN, language="zh"
    ),
    _folders(
        "imagenet_v2",
        "ImageNetV2 (matched frequency)",
        ("imagenetv2-matched-frequency-format-val", "imagenetv2-matched-frequency"),
        "https://huggingface.co/datasets/vaishaal/ImageNetV2",
        10_000,
        1000,
    ),
    _folders(
        "imagenet_sketch",
        "ImageNet-Sketch",
        ("sketch",),
        "https://github.com/HaohanWang/ImageNet-Sketch",
        50_889,
        1000,
    ),
    _folders(
        "imagenet_a",
        "ImageNet-A",
        ("imagenet-a",),
        "https://github.com/hendrycks/natural-adv-examples",
        7500,
        200,
        _SYNSETS,
    ),
    _folders(
        "imagenet_r", "ImageNet-R", ("imagenet-r",), "https://github.com/hendrycks/imagenet-r", 30_000, 200, _SYNSETS
    ),
    _cifar(10, "test_batch.bin", "cifar-10-batches-bin", 1),
    _cifar(100, "test.bin", "cifar-100-binary", 2),
    Benchmark(
        "labels",
        "a labelled file of your own",
        (Form((Wanted("data", (".",), "you: a file with images and labels"),), tables.read_labels),),
        split="all of it",
    ),
    Benchmark(
        "folders",
        "class folders of your own",
        (Form((Wanted("images", ("test", "val", "."), "you: a folder for each class"),), folders.read),),
        split="all of it",
    ),
)
