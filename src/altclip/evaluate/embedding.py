"""From images and names to embeddings: images once per model and kept on disk, names with and without templates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from altclip import prompts
from altclip.data.cache import cached_embeddings
from altclip.data.labels import Labels
from altclip.errors import DataError, InputError
from altclip.evaluate.images import ImageSet
from altclip.languages import Language
from altclip.metrics import Embeddings, class_embeddings

Prompts = Literal["names", "templates"]
PROMPTS: Final[tuple[Prompts, ...]] = ("names", "templates")
OnError = Callable[[int, InputError], object]
_KEPT_AT_ONCE: Final = 1024  # images whose embeddings a killed run does not lose


class Embedder(Protocol):
    """What is measured: `altclip.Encoder`, or anything that embeds as it does."""

    def encode_images(self, images: Iterable[Any], *, on_error: OnError | None = None) -> Embeddings: ...
    def encode_texts(self, texts: Sequence[str]) -> Embeddings: ...


@dataclass(frozen=True)
class Embedded:
    """Images as embeddings (N, D), and what each shows: its class or concept."""

    embeddings: Embeddings
    keys: NDArray[np.str_]

    def of(self, keys: Collection[str]) -> NDArray[np.int64]:
        """Indices of the images that show one of `keys`."""
        return np.flatnonzero(np.isin(self.keys, list(keys)))


@dataclass(frozen=True)
class Named:
    """The classes that one language has a name for: keys, names and the names' embeddings (C, D), row by row."""

    keys: tuple[str, ...]
    names: tuple[str, ...]
    embeddings: Embeddings

    def among(self, keys: Collection[str]) -> Self:
        """Those of `keys` alone."""
        kept = [row for row, key in enumerate(self.keys) if key in keys]
        return type(self)(
            tuple(self.keys[row] for row in kept), tuple(self.names[row] for row in kept), self.embeddings[kept]
        )


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
