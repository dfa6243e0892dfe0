"""Everything that mini is measured by, for one model: photographs, full-size photographs, drawings, names left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from altclip.data.leftout import left_out_pairs
from altclip.errors import UsageError
from altclip.evaluate.embedding import PROMPTS, Embedder, embed_images, embed_labels
from altclip.evaluate.mini.data import MiniData
from altclip.evaluate.mini.drawings import find_drawings
from altclip.evaluate.mini.results import Result
from altclip.evaluate.mini.zeroshot import left_out, zero_shot
from altclip.languages import LANGUAGES, Language


@dataclass(frozen=True)
class Settings:
    """languages: English and others; style of the drawings; left_out: n, if training left out every n-th name."""

    languages: tuple[Language, ...] = LANGUAGES
    style: str = "twemoji"
    left_out: int = 0

    def __post_init__(self) -> None:
        if self.left_out < 0:
            raise UsageError(f"left_out={self.left_out}: expected the n of 'every n-th name', or 0 for none")


def choose_languages(asked: Sequence[str]) -> tuple[Language, ...]:
    """These of the nine and English, in the usual order; all for none. Raises UsageError for an unknown one."""
    if unknown := [language for language in asked if language not in LANGUAGES]:
        raise UsageError(f"unknown language {', '.join(map(repr, unknown))}: expected some of {', '.join(LANGUAGES)}")
    return tuple(language for language in LANGUAGES if not asked or language == "en" or language in asked)


def measure(
    encoder: Embedder,
    data: MiniData,
    settings: Settings,
    *,
    cache: Path | None = None,
    key: Sequence[str] = (),
    report: Callable[[str], None] = lambda _: None,
) -> list[Result]:
    """All figures of one model, in the order of the report. `key` names the model in the cache of embeddings."""
    report("embedding photographs and drawings")
    photographs = embed_images(encoder, data.photographs, cache, key)
    full_size = embed_images(encoder, data.full_size, cache, key)
    drawings = embed_images(encoder, data.drawings, cache, key)
    pairs = left_out_pairs(data.classes, settings.left_out) if settings.left_out else set()
    results = []
    for kind in PROMPTS:
        report(f"classifying photographs by {kind} in {', '.join(settings.languages)}")
        classes = embed_labels(encoder, data.classes, settings.languages, kind)
        results += zero_shot(photographs, classes, kind)
        results += zero_shot(full_size, {"en": classes["en"]}, kind, "full size")
        if pairs:
            results += left_out(photographs, classes, pairs, kind)
    report(f"finding drawings by name in {', '.join(settings.languages)}")
    return results + find_drawings(drawings, embed_labels(encoder, data.concepts, settings.languages, "names"))
