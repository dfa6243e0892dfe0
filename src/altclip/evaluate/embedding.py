"""From images and names to embeddings: images once per model and kept on disk, names with and without templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from altclip import prompts
from altclip.data.cache import cached_embeddings
from altclip.data.labels import Labels
from altclip.errors import DataError, InputError
from altclip.evaluate.results import Prompts
from altclip.evaluate.sets import ImageSet
from altclip.evaluate.zeroshot import Embedded, Named
from altclip.languages import Language
from altclip.metrics import Embeddings, class_embeddings

OnError = Callable[[int, InputError], object]
_KEPT_AT_ONCE: Final = 1024  # images whose embeddings a killed run does not lose


class Embedder(Protocol):
    """What is measured: `altclip.Encoder`, or anything that embeds as it does."""

    def encode_images(self, images: Iterable[Any], *, on_error: OnError | None = None) -> Embeddings: ...
    def encode_texts(self, texts: Sequence[str]) -> Embeddings: ...


def embed_images(encoder: Embedder, images: ImageSet, cache: Path | None = None, key: Sequence[str] = ()) -> Embedded:
    """The images' embeddings (N, D), from the folder `cache` if this model (`key`) has seen these images before.

    Raises DataError naming an image that cannot be read: a figure never leaves one out.
    """

    def embed(start: int, stop: int) -> Embeddings:
        def refuse(position: int, error: InputError) -> None:
            raise DataError(f"{images.name}, image {start + position}: {error}; get the file anew, every image counts")

        return encoder.encode_images(images.part(start, stop), on_error=refuse)

    if cache is None:
        found = embed(0, len(images))
    else:
        found = cached_embeddings(cache, [*key, images.digest], len(images), embed, _KEPT_AT_ONCE)
    return Embedded(np.asarray(found, np.float32), np.asarray(images.keys))


def embed_labels(
    encoder: Embedder, labels: Labels, languages: Sequence[Language], kind: Prompts
) -> Mapping[str, Named]:
    """The names of each language, alone or as the mean of all templates of that language."""
    return {language: _named(encoder, labels, language, kind) for language in languages}


def _named(encoder: Embedder, labels: Labels, language: Language, kind: Prompts) -> Named:
    keys = labels.keys_in([language])
    if not keys:
        raise DataError(f"the labels have no name in {language}: leave the language out")
    names = [labels.names[key][language][0] for key in keys]
    filled = prompts.prompts_for(names, templates="auto" if kind == "templates" else None, language=language)
    embeddings = encoder.encode_texts([prompt for of_name in filled for prompt in of_name])
    return Named(tuple(keys), tuple(names), class_embeddings(embeddings, [len(of_name) for of_name in filled]))
