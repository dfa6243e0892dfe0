"""Pictures of shapes that cover each other, as things in photographs do (the "dead leaves" of natural image models)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE: Final = 96  # pixels of a picture
_FEWEST, _MOST = 4, 40  # shaded shapes in a picture
_MOST_PIECES: Final = 8  # of photographs in a picture


def drawn_shapes(count: int, draw: np.random.Generator) -> Iterator[Image.Image]:
    """That many pictures of discs and squares in shaded colours, with a little noise."""
    for _ in range(count):
        picture = np.empty((SIDE, SIDE, 3), np.float32)
        picture[:] = draw.integers(0, 256, 3)
        for _ in range(draw.integers(_FEWEST, _MOST)):
            _cover(picture, draw)
        picture += draw.normal(0, draw.uniform(0, 15), picture.shape)
        yield Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def collages(count: int, draw: np.random.Generator, piece: Callable[[], Image.Image]) -> Iterator[Image.Image]:
    """That many pictures, each a piece of a photograph with discs and squares of other pieces laid over it.

    piece: the next one, `SIDE` pixels wide and high.
    """
    for _ in range(count):
        picture = np.asarray(piece(), np.float32).copy()
        for _ in range(draw.integers(0, _MOST_PIECES)):
            inside, _ = _shape(draw, SIDE / 2 * draw.random() ** 1.5 + 4)
            picture[inside] = np.asarray(piece(), np.float32)[inside]
        yield Image.fromarray(picture.astype(np.uint8))


def recoloured(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    """The picture in other light: channels exchanged half of the time, other contrast, saturation and brightness."""
    pixels = np.asarray(picture, np.float32)
    if draw.random() < 0.5:
        pixels = pixels[..., draw.permutation(3)]
    grey = pixels.mean(-1, keepdims=True)
    pixels = grey + (pixels - grey) * draw.uniform(0, 1.6)
    contrast = draw.uniform(0.6, 1.5) * draw.uniform(0.6, 1.4, 3)
    pixels = (pixels - 128) * contrast + 128 + draw.uniform(-40, 40)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _cover(picture: NDArray[np.float32], draw: np.random.Generator) -> None:
    """Lay one shaded shape over the picture."""
    inside, x = _shape(draw, SIDE / 2 * draw.random() ** 2 + 2)
    shade = 1 + draw.uniform(-0.4, 0.4) * x / SIDE
    picture[inside] = np.clip(draw.integers(0, 256, 3) * shade[..., None], 0, 255)[inside]


def _shape(draw: np.random.Generator, radius: float) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """A disc or a square somewhere: which pixels it covers, and how far each lies to the right of its middle."""
    down, across = np.mgrid[:SIDE, :SIDE]
    x, y = across - draw.uniform(0, SIDE), down - draw.uniform(0, SIDE)
    inside: NDArray[Any] = np.maximum(abs(x), abs(y)) < radius if draw.random() < 0.3 else x**2 + y**2 < radius**2
    return inside, x
