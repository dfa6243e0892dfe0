"""What an exported model is tried on, and how far its embeddings are from those of the model it was made of.

Pictures are made up, sentences come from the prompts of all nine languages: batches of several sizes and lengths, one
of a single item, one of the longest text that the model takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from altclip.encoder import Encoder
from altclip.engines import Features, Ids, Pixels
from altclip.errors import CheckpointError, UsageError
from altclip.languages import LANGUAGES
from altclip.metrics import normalised
from altclip.prompts import fill, label_set, templates

Feed: TypeAlias = dict[str, NDArray[np.generic]]
Run: TypeAlias = Callable[[Feed], Features]

TOLERANCE: Final = 1e-4
_IMAGE_BATCHES: Final = (1, 3, 6)
_TEXT_BATCHES: Final = (1, 4, 13)


@dataclass(frozen=True)
class Agreement:
    """Exported embeddings beside the original's: greatest difference of a number, least and mean cosine."""

    rows: int
    max_difference: float
    cosine_min: float
    cosine_mean: float


@dataclass(frozen=True)
class Tokens:
    """Ids and mask (B, L) of a batch of texts."""

    ids: Ids
    mask: Ids


def pictures(count: int) -> list[Image.Image]:
    """Pictures from coarse to fine, in colours and shapes of their own."""
    random = np.random.default_rng(0)
    sizes = [(2 + number % 7, 3 + number % 5) for number in range(count)]
    made = [Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]
    return [image.resize((300 + 17 * place, 260), Image.Resampling.BICUBIC) for place, image in enumerate(made)]


def sentences() -> list[str]:
    """Sentences in nine languages, short and long by turns."""
    found = []
    for place, language in enumerate(LANGUAGES):
        forms, labels = templates(language), list(label_set("cifar10", language).values())
        found += [labels[place % len(labels)], fill(forms[place % len(forms)], labels[-1 - place % len(labels)])]
    return found


def image_batches(encoder: Encoder, sizes: Sequence[int] = _IMAGE_BATCHES) -> list[Pixels]:
    """Prepared pictures in batches (B, 3, S, S)."""
    processor = encoder.image_processor
    if processor is None:
        raise UsageError(f"{encoder.name} has no image tower: open it with one")
    arrays = [processor.preprocess(image) for image in pictures(sum(sizes))]
    ends = np.cumsum(sizes)
    return [np.stack(arrays[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def text_batches(encoder: Encoder, longest: int) -> list[Tokens]:
    """Sentences in batches, padded to the longest of each; the last is one text of `longest` tokens."""
    texts = sentences()
    groups = [texts[:size] for size in _TEXT_BATCHES]
    return [_tokens(encoder, group, longest) for group in (*groups, [" ".join(texts * longest)])]


def padded_texts(encoder: Encoder, length: int) -> list[Tokens]:
    """Each sentence alone, padded or cut to `length` tokens, and one that fills it."""
    texts = sentences()
    return [_tokens(encoder, [text], length, pad=True) for text in (*texts, " ".join(texts * length))]


def images_agree(encoder: Encoder, run: Run, name: str, batches: Iterable[Pixels]) -> Agreement:
    """How near `run` comes to the encoder on prepared pictures, given as `name`."""
    return _agreement([(run({name: pixels}), encoder.engine.encode_image(pixels)) for pixels in batches])


def texts_agree(encoder: Encoder, run: Run, feed: Callable[[Tokens], Feed], batches: Iterable[Tokens]) -> Agreement:
    """How near `run` comes to the encoder on texts; feed: the tensors that the exported graph wants."""
    return _agreement([(run(feed(t)), encoder.engine.encode_text(t.ids, t.mask)) for t in batches])


def check(what: str, agreement: Agreement, *, exact: bool) -> None:
    """Raise CheckpointError if the embeddings are not numbers or, where they should be the same, are not."""
    if not np.isfinite(agreement.max_difference):
        raise CheckpointError(f"the {what} gives NaN or infinity: convert with another precision (fp32)")
    if exact and agreement.max_difference > TOLERANCE:
        raise CheckpointError(
            f"the {what} gives other embeddings than the model: they differ by {agreement.max_difference:.2g}, "
            f"expected at most {TOLERANCE}; please report this with the versions of torch, onnx and onnxruntime"
        )


def _tokens(encoder: Encoder, texts: list[str], longest: int, *, pad: bool = False) -> Tokens:
    if encoder.tokenizer is None:
        raise UsageError(f"{encoder.name} has no text tower: open a model of images and texts")
    found = encoder.tokenizer(
        texts, padding="max_length" if pad else True, truncation=True, max_length=longest,
        split_special_tokens=True, return_tensors="np",
    )  # fmt: skip
    return Tokens(found["input_ids"], found["attention_mask"])


def _agreement(pairs: Sequence[tuple[Features, Features]]) -> Agreement:
    theirs = np.concatenate([rows for rows, _ in pairs]).astype(np.float64)
    ours = normalised(np.concatenate([rows for _, rows in pairs])).astype(np.float64)
    cosines = (theirs * ours).sum(1) / np.maximum(np.linalg.norm(theirs, axis=1), 1e-12)
    return Agreement(len(ours), float(np.abs(theirs - ours).max()), float(cosines.min()), float(cosines.mean()))
