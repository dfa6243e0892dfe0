"""Pictures and files made for the tests."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def reference(image: Image.Image, **settings: Any) -> np.ndarray:
    """What transformers makes of a PIL image."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    return np.asarray(CLIPImageProcessorPil(**settings)(image).pixel_values[0])


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 4), dtype=np.uint8)
    image = Image.fromarray(pixels)
    return image.convert(mode) if mode in ("RGBA", "LA", "RGB", "L") else image.convert("RGB").convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels_of(image: Image.Image) -> list[Any]:
    return [tuple(pixel) for row in np.asarray(image) for pixel in row]


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises width x height pixels and holds next to none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def grey_tiff(values: list[int], bits: int, *, white_is_zero: bool = False) -> bytes:
    """A TIFF of one row of greys, 12 or 16 bits each (TIFF 6.0)."""
    if bits == 16:
        row = struct.pack(f"<{len(values)}H", *values)
    else:
        packed = "".join(f"{value:0{bits}b}" for value in values)
        row = int(packed.ljust(-(-len(packed) // 8) * 8, "0"), 2).to_bytes(-(-len(packed) // 8), "big")
    tags = [
        (256, len(values)), (257, 1), (258, bits), (259, 1), (262, int(not white_is_zero)), (273, 8), (277, 1),
        (278, 1), (279, len(row)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    start = 8 + len(row) + len(row) % 2
    return struct.pack("<2sHI", b"II", 42, start) + row.ljust(start - 8, b"\0") + directory + bytes(4)
