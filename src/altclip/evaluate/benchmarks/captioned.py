"""The sets for retrieval, a row each.

Numbers are those that the authors state for the part that the published figures are of. MSCOCO takes the first five
captions of an image, as the papers do: its 5,000 images have 25,010.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from altclip.evaluate.benchmarks.catalogue import Benchmark, Form, Wanted
from altclip.evaluate.benchmarks.formats import (
    aligned,
    chinese_clip,
    crossmodal,
    karpathy,
    listed,
    numbered,
    tables,
    webdataset,
)

_KARPATHY: Final = "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
_FLICKR30K: Final = Wanted(
    "images",
    ("flickr30k-images", "flickr30k_images", "images"),
    "https://shannon.cs.illinois.edu/DenotationGraph (a form)",
)
_COCO: Final = "http://images.cocodataset.org/zips"
_VAL2014: Final = Wanted("images", ("val2014", "images"), f"{_COCO}/val2014.zip")
_TRAIN2014: Final = Wanted("images train", ("train2014", "images"), f"{_COCO}/train2014.zip")
_FLICKR8K: Final = Wanted(
    "images",
    ("Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images"),
    "https://hockenmaier.cs.illinois.edu/Framing_Image_Description/KCCA.html (a form)",
)
_CN_CLIP: Final = "https://clip-cn-beijing.oss-cn-beijing.aliyuncs.com/datasets"
_XTD: Final = "https://github.com/adobe-research/Cross-lingual-Test-Dataset-XTD10"
_MULTI30K: Final = "https://github.com/multi30k/dataset"
_WUKONG: Final = "https://wukong-dataset.github.io/wukong-dataset/download.html"
_XM_LANGUAGES: Final = (
    "ar", "bn", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fil", "fr", "he", "hi", "hr", "hu", "id", "it",
    "ja", "ko", "mi", "nl", "no", "pl", "pt", "quz", "ro", "ru", "sv", "sw", "te", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip


def _xtd(language: str) -> Wanted:
    file = f"test_1kcaptions_{'jp' if language == 'ja' else language}.txt"
    return Wanted(f"captions {language}", tuple(f"{d}{file}" for d in ("XTD10/", "MIC/", "STAIR/", "")), _XTD, language)


def _multi30k(language: str) -> Wanted:
    file = f"test_2016_flickr.{language}"
    paths = (f"data/task1/raw/{file}.gz", f"data/task1/raw/{file}", f"{file}.gz", file)
    return Wanted(f"captions {language}", paths, _MULTI30K, language)


def _task2(language: str, number: int) -> Wanted:
    file = f"test_2016.{number}.{language}"
    paths = tuple(f"{folder}{file}{ending}" for folder in ("data/task2/raw/", "") for ending in (".gz", ""))
    return Wanted(f"captions {language} {number}", paths, _MULTI30K, language)


def _coco(name: str, title: str, folds: int) -> Benchmark:
    wanted = (Wanted("captions", ("dataset_coco.json",), _KARPATHY), _VAL2014)
    read = partial(karpathy.read, total=123_287, each=5, folds=folds)
    return Benchmark(name, title, (Form(wanted, read),), ("en",), 5000, 25_000)


def _chinese_clip(name: str, split: str) -> tuple[Wanted, ...]:
    source = f"{_CN_CLIP}/{name}.zip"
    return (
        Wanted("images", (f"{split}_imgs.tsv", f"{name}/{split}_imgs.tsv"), source),
        Wanted("captions", (f"{split}_texts.jsonl", f"{name}/{split}_texts.jsonl"), source),
    )


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

CAPTIONED: Final = (
    Benchmark(
        "flickr30k",
        "Flickr30k (Karpathy's split)",
        (
            Form(
                (Wanted("captions", ("dataset_flickr30k.json",), _KARPATHY), _FLICKR30K),
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
            Form(_chinese_clip("Flickr30k-CN", "test"), chinese_clip.read),
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
    Benchmark(
        "muge",
        "MUGE",
        (Form(_chinese_clip("MUGE", "valid"), partial(chinese_clip.read, distractors=True)),),
        ("zh",),
        split="valid",
    ),
    Benchmark(
        "chinese_clip",
        "a set in Chinese-CLIP's form",
        (Form(_chinese_clip("data", "test"), partial(chinese_clip.read, distractors=True)),),
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
)
