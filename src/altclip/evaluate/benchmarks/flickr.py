"""The sets for retrieval on Flickr's photographs: Flickr30k and Flickr8k in several languages, Multi30k.

Numbers are those that the authors state for the part that the published figures are of.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from altclip.evaluate.benchmarks.catalogue import Benchmark, Form, Wanted
from altclip.evaluate.benchmarks.formats import aligned, chinese_clip, karpathy, numbered
from altclip.evaluate.benchmarks.sources import KARPATHY, chinese_clip_files

_FLICKR30K: Final = Wanted(
    "images",
    ("flickr30k-images", "flickr30k_images", "images"),
    "https://shannon.cs.illinois.edu/DenotationGraph (a form)",
)

_FLICKR8K: Final = Wanted(
    "images",
    ("Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images"),
    "https://hockenmaier.cs.illinois.edu/Framing_Image_Description/KCCA.html (a form)",
)


_MULTI30K: Final = "https://github.com/multi30k/dataset"

_FLICKR8K_CAPTIONS: Final = (
    Wanted(
        "captions en",
        ("Flickr8k.token.txt", "Flickr8k_text/Flickr8k.token.txt"),
        "https://github.com/jbrownlee/Datasets/releases/tag/Flickr8k (Flickr8k_text.zip)",
        "en",
    ),
    Wanted(
        "captions zh",
        ("flickr8kzhc.caption.txt", "flickr8kcn/data/flickr8kzhc.caption.txt"),
        "https://github.com/li-xirong/flickr8kcn",
        "zh",
    ),
    Wanted(
        "captions ar",
        ("Flickr8k.arabic.full.txt", "Flickr8k_text/Flickr8k.arabic.full.txt"),
        "https://github.com/ObeidaElJundi/Arabic-Image-Captioning",
        "ar",
    ),
)


def _multi30k(language: str) -> Wanted:
    file = f"test_2016_flickr.{language}"
    paths = (f"data/task1/raw/{file}.gz", f"data/task1/raw/{file}", f"{file}.gz", file)
    return Wanted(f"captions {language}", paths, _MULTI30K, language)


def _task2(language: str, number: int) -> Wanted:
    file = f"test_2016.{number}.{language}"
    paths = tuple(f"{folder}{file}{ending}" for folder in ("data/task2/raw/", "") for ending in (".gz", ""))
    return Wanted(f"captions {language} {number}", paths, _MULTI30K, language)


FLICKR: Final = (
    Benchmark(
        "flickr30k",
        "Flickr30k (Karpathy's split)",
        (
            Form(
                (Wanted("captions", ("dataset_flickr30k.json",), KARPATHY), _FLICKR30K),
                partial(karpathy.read, total=31_014),
            ),
        ),
        ("en",),
        1000,
        5000,
    ),
    Benchmark(
        "flickr30k_cn",
        "Flickr30k-CN",
        (
            Form(chinese_clip_files("Flickr30k-CN", "test"), chinese_clip.read),
            Form(
                (
                    Wanted(
                        "captions zh",
                        ("flickr30kzhmbosontest/TextData/seg.flickr30kzhmbosontest.caption.txt",),
                        "https://github.com/li-xirong/cross-lingual-cap",
                    ),
                    Wanted(
                        "split",
                        ("flickr30kzhmbosontest/ImageSets/flickr30kzhmbosontest.txt",),
                        "https://github.com/li-xirong/cross-lingual-cap",
                    ),
                    _FLICKR30K,
                ),
                partial(numbered.read, segmented=True),
            ),
        ),
        ("zh",),
        1000,
        5000,
    ),
    Benchmark(
        "flickr30k_cna",
        "Flickr30k-CNA",
        (
            Form(
                (
                    Wanted(
                        "captions zh",
                        ("test/flickr30k_cna_test.txt", "flickr30k_cna_test.txt"),
                        "https://zero.so.com/ (Flickr30k-CNA)",
                    ),
                    _FLICKR30K,
                ),
                numbered.read,
            ),
        ),
        ("zh",),
        1000,
        5000,
    ),
    Benchmark(
        "multi30k",
        "Multi30k (task 1, test 2016)",
        (
            Form(
                (
                    Wanted(
                        "names", ("data/task1/image_splits/test_2016_flickr.txt", "test_2016_flickr.txt"), _MULTI30K
                    ),
                    *map(_multi30k, ("en", "de", "fr", "cs")),
                    _FLICKR30K,
                ),
                aligned.read,
            ),
        ),
        ("en", "de", "fr", "cs"),
        1000,
        1000,
    ),
    Benchmark(
        "multi30k_task2",
        "Multi30k (task 2, test 2016)",
        (
            Form(
                (
                    Wanted(
                        "names", ("data/task2/image_splits/test_2016_images.txt", "test_2016_images.txt"), _MULTI30K
                    ),
                    *(_task2(language, number) for language in ("en", "de") for number in range(1, 6)),
                    _FLICKR30K,
                ),
                partial(aligned.read, each=5),
            ),
        ),
        ("en", "de"),
        1000,
        5000,
    ),
    Benchmark(
        "flickr8k",
        "Flickr8k, Flickr8k-CN and Arabic Flickr8k",
        (
            Form(
                (
                    *_FLICKR8K_CAPTIONS,
                    Wanted(
                        "split",
                        ("Flickr_8k.testImages.txt", "Flickr8k_text/Flickr_8k.testImages.txt"),
                        "https://github.com/jbrownlee/Datasets/releases/tag/Flickr8k (Flickr8k_text.zip)",
                    ),
                    _FLICKR8K,
                ),
                numbered.read,
            ),
        ),
        ("en", "zh", "ar"),
        1000,
        {"en": 5000, "zh": 5000, "ar": 3000},
    ),
)
