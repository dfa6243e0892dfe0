"""The sets for retrieval on MSCOCO's photographs: MSCOCO itself, COCO-CN, XTD10.

MSCOCO takes the first five captions of an image, as the papers do: its 5,000 images have 25,010.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from altclip.evaluate.benchmarks.catalogue import Benchmark, Form, Wanted
from altclip.evaluate.benchmarks.formats import aligned, karpathy, numbered
from altclip.evaluate.benchmarks.sources import KARPATHY

_COCO: Final = "http://images.cocodataset.org/zips"

_VAL2014: Final = Wanted("images", ("val2014", "images"), f"{_COCO}/val2014.zip")

_TRAIN2014: Final = Wanted("images train", ("train2014", "images"), f"{_COCO}/train2014.zip")

_XTD: Final = "https://github.com/adobe-research/Cross-lingual-Test-Dataset-XTD10"


def _xtd(language: str) -> Wanted:
    file = f"test_1kcaptions_{'jp' if language == 'ja' else language}.txt"
    return Wanted(f"captions {language}", tuple(f"{d}{file}" for d in ("XTD10/", "MIC/", "STAIR/", "")), _XTD, language)


def _coco(name: str, title: str, folds: int) -> Benchmark:
    wanted = (Wanted("captions", ("dataset_coco.json",), KARPATHY), _VAL2014)
    read = partial(karpathy.read, total=123_287, each=5, folds=folds)
    return Benchmark(name, title, (Form(wanted, read),), ("en",), 5000, 25_000)


COCO: Final = (
    _coco("mscoco_5k", "MSCOCO 5k (Karpathy's split)", 1),
    _coco("mscoco_1k", "MSCOCO 1k (Karpathy's split, mean of five parts)", 5),
    Benchmark(
        "coco_cn",
        "COCO-CN",
        (
            Form(
                (
                    Wanted(
                        "captions zh",
                        (
                            "coco-cn-version1805v1.1/imageid.human-written-caption.txt",
                            "imageid.human-written-caption.txt",
                        ),
                        "https://github.com/li-xirong/coco-cn",
                    ),
                    Wanted(
                        "split",
                        ("coco-cn-version1805v1.1/coco-cn_test.txt", "coco-cn_test.txt"),
                        "https://github.com/li-xirong/coco-cn",
                    ),
                    _VAL2014,
                    _TRAIN2014,
                ),
                numbered.read,
            ),
        ),
        ("zh",),
        1000,
        1053,
    ),
    Benchmark(
        "xtd10",
        "XTD10",
        (
            Form(
                (
                    Wanted("names", ("XTD10/test_image_names.txt", "test_image_names.txt"), _XTD),
                    *map(_xtd, ("en", "de", "es", "fr", "it", "ja", "ko", "pl", "ru", "tr", "zh")),
                    _VAL2014,
                    _TRAIN2014,
                ),
                aligned.read,
            ),
        ),
        ("en", "de", "es", "fr", "it", "ja", "ko", "pl", "ru", "tr", "zh"),
        1000,
        1000,
    ),
)
