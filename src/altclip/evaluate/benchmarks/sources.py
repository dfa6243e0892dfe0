"""Where several sets are had from."""

from __future__ import annotations

from typing import Final

from altclip.evaluate.benchmarks.catalogue import Wanted

KARPATHY: Final = "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
_CN_CLIP: Final = "https://clip-cn-beijing.oss-cn-beijing.aliyuncs.com/datasets"


def chinese_clip_files(name: str, split: str) -> tuple[Wanted, ...]:
    """The two files of a set in Chinese-CLIP's form."""
    source = f"{_CN_CLIP}/{name}.zip"
    return (
        Wanted("images", (f"{split}_imgs.tsv", f"{name}/{split}_imgs.tsv"), source),
        Wanted("captions", (f"{split}_texts.jsonl", f"{name}/{split}_texts.jsonl"), source),
    )
