"""The other sets for retrieval, a row each: of many languages, of shops and of the web, and your own."""

from __future__ import annotations

from functools import partial
from typing import Final

from altclip.evaluate.benchmarks.catalogue import Benchmark, Form, Wanted
from altclip.evaluate.benchmarks.formats import chinese_clip, crossmodal, listed, parallel, tables, webdataset
from altclip.evaluate.benchmarks.sources import chinese_clip_files

_WUKONG: Final = "https://wukong-dataset.github.io/wukong-dataset/download.html"

_XM_LANGUAGES: Final = (
    "ar", "bn", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fil", "fr", "he", "hi", "hr", "hu", "id", "it",
    "ja", "ko", "mi", "nl", "no", "pl", "pt", "quz", "ro", "ru", "sv", "sw", "te", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip


OTHERS: Final = (
    Benchmark(
        "crossmodal3600",
        "Crossmodal-3600",
        (
            Form(
                (
                    Wanted("captions", ("captions.jsonl",), "https://google.github.io/crossmodal-3600 (captions.zip)"),
                    Wanted(
                        "images",
                        ("images",),
                        "https://open-images-dataset.s3.amazonaws.com/crossmodal-3600/images.tgz",
                    ),
                ),
                crossmodal.read,
            ),
        ),
        _XM_LANGUAGES,
        3600,
        split="all of it",
    ),
    Benchmark(
        "muge",
        "MUGE",
        (Form(chinese_clip_files("MUGE", "valid"), partial(chinese_clip.read, distractors=True)),),
        ("zh",),
        split="valid",
    ),
    Benchmark(
        "chinese_clip",
        "a set in Chinese-CLIP's form",
        (Form(chinese_clip_files("data", "test"), partial(chinese_clip.read, distractors=True)),),
        ("zh",),
    ),
    Benchmark(
        "wukong_test",
        "Wukong-Test",
        (
            Form(
                (
                    Wanted("captions", ("wukong_test.csv",), _WUKONG),
                    Wanted("images", ("wukong_test", "wukong_test_images", "images"), _WUKONG),
                ),
                partial(listed.read, text="text", file="dir"),
            ),
        ),
        ("zh",),
    ),
    Benchmark(
        "wukong50k",
        "wukong50k",
        (
            Form(
                (
                    Wanted("captions", ("wukong50k_release.csv",), _WUKONG),
                    Wanted("images", ("images",), "the addresses in wukong50k_release.csv, a file a row: 0.jpg, 1.jpg"),
                ),
                partial(listed.read, text="caption"),
            ),
        ),
        ("zh",),
    ),
    Benchmark(
        "webdataset",
        "a set in CLIP_benchmark's webdataset form",
        (
            Form(
                (Wanted("shards", ("test/nshards.txt",), "https://huggingface.co/clip-benchmark"),),
                webdataset.read,
            ),
        ),
    ),
    Benchmark(
        "captions",
        "a set of your own with captions",
        (Form((Wanted("data", (".",), "you: a file, or a folder of images with metadata"),), tables.read_captions),),
        split="all of it",
    ),
    Benchmark(
        "parallel",
        "Parallel text",
        (Form((Wanted("data", (".",), "you: a file named like en-zh.tsv, or a folder of them"),), parallel.read),),
        split="all of it",
    ),
)
