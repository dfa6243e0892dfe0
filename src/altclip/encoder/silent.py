"""What prepares images and texts of a folder; where it holds weights alone, as the family's own code does it.

Such folders are OpenAI's state dicts and the original Chinese-CLIP files, whose programs have these settings in code.
The vocabulary must lie beside the weights in any case.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from altclip.checkpoints.opening import config_file
from altclip.models import ModelConfig, heads_of
from altclip.processing import ImageProcessor, Tokenizer

_SETTINGS: Final = ("preprocessor_config.json", "processor_config.json")
_CHINESE_CLIP_TOKENS: Final = 52  # `context_length` of cn_clip's `tokenize`


def image_settings(folder: Path, config: ModelConfig) -> ImageProcessor:
    """The image processor of a folder. Raises LayoutError where neither a file nor the family tells its settings."""
    silent = config_file(folder) is None and not any((folder / name).is_file() for name in _SETTINGS)
    family = _family(config) if silent else None
    if family is None or config.vision is None:
        return ImageProcessor.from_folder(folder)
    side = config.vision.image_size
    square = {"height": side, "width": side}
    if family == "chinese-clip":
        kind: dict[str, Any] = {"image_processor_type": "ChineseCLIPImageProcessor"}
        return ImageProcessor(size=square, do_center_crop=False, crop_size=square, other=kind)
    return ImageProcessor(size={"shortest_edge": side}, crop_size=square, crop_rounding="even")


def tokenizer_of(folder: Path, config: ModelConfig) -> Tokenizer:
    """The tokenizer of a folder. Raises LayoutError where there is none."""
    tokenizer = Tokenizer.from_folder(folder)
    if config_file(folder) is None and _family(config) == "chinese-clip":
        tokenizer.model_max_length = min(tokenizer.model_max_length, _CHINESE_CLIP_TOKENS)
    return tokenizer


def _family(config: ModelConfig) -> str | None:
    return next((name for name in ("clip", "chinese-clip") if config.heads == heads_of(name)), None)
