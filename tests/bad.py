"""Pictures and model folders as they should not be, and some that only look odd: for the API and the command line."""

from __future__ import annotations

import json
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from altclip import errors


def picture(colour: tuple[int, int, int] = (200, 40, 40), size: tuple[int, int] = (60, 40)) -> Image.Image:
    """A picture that looks the same in no other orientation."""
    image = Image.new("RGB", size, colour)
    image.paste((20, 30, 200), (0, 0, size[0] // 3, size[1] // 2))
    return image


# Images that cannot be used: how to make one in a file, and words of the error.
def _truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:1000])


def _bomb(path: Path) -> None:
    """A valid header that promises 20,000 x 20,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(1000)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rows + chunk(b"IEND", b""))


BAD_IMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated.jpg": (_truncated, "damaged or cut short"),
    "empty.png": (lambda path: path.write_bytes(b""), "empty"),
    "text.jpg": (lambda path: path.write_text("dear diary", encoding="utf-8"), "not an image"),
    "bomb.png": (_bomb, "over the limit of 100,000,000"),
    "missing.jpg": (lambda path: path.unlink(missing_ok=True), "no such file"),
}


# Images that look odd to a program and not to a person: how to make one, and the picture it is.
def _exif_rotated(path: Path) -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().rotate(90, expand=True).save(path, "PNG", exif=exif)
    return picture()


def _palette_with_alpha(path: Path) -> Image.Image:
    image = picture().quantize(2)
    image.info["transparency"] = 0
    image.save(path, "PNG")
    rgba = Image.open(path).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def _cmyk(path: Path) -> Image.Image:
    picture().convert("CMYK").save(path, "TIFF")
    return picture().convert("CMYK").convert("RGB")


def _sixteen_bit(path: Path) -> Image.Image:
    grey = np.asarray(picture().convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(path, "PNG")
    return Image.fromarray(grey).convert("RGB")


def _animated(path: Path) -> Image.Image:
    frames = [picture((10, 200, 10)), picture((200, 200, 10))]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:])
    return Image.open(path).convert("RGB")


def _saved(image: Image.Image, kind: str) -> Callable[[Path], Image.Image]:
    def make(path: Path) -> Image.Image:
        image.save(path, kind)
        return image.convert("RGB")

    return make


ODD_IMAGES: dict[str, Callable[[Path], Image.Image]] = {
    "png.jpg": _saved(picture(), "PNG"),  # another name than its content
    "one.png": _saved(picture(size=(1, 1)), "PNG"),
    "grey.png": _saved(picture().convert("L"), "PNG"),
    "rotated.png": _exif_rotated,
    "palette.png": _palette_with_alpha,
    "cmyk.tif": _cmyk,
    "sixteen.png": _sixteen_bit,
    "animated.gif": _animated,
}


class BadModel(NamedTuple):
    """What to do to a good folder, the error that opening it is, and words of its message."""

    spoil: Callable[[Path], object]
    error: type[Exception]
    words: str


class _Evil:
    """Writes a file into the folder that Python is in, if unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("it-ran", "w")


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"logit_scale": _Evil()}, protocol=2))


def _weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        tensors = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return spoil


def _cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _setting(name: str, **values: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        settings = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps({**settings, **values}), encoding="utf-8")

    return spoil


def _other_padding(folder: Path) -> None:
    text = json.loads((folder / "config.json").read_text(encoding="utf-8"))["text_config"]
    _setting("config.json", text_config={**text, "pad_token_id": 0})(folder)


def _long_vocabulary(folder: Path) -> None:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["model"]["vocab"].update({f"word{number}": 1000 + number for number in range(100)})
    file.write_text(json.dumps(content), encoding="utf-8")


_PROJECTION = "visual_projection.weight"
BAD_MODELS: dict[str, BadModel] = {
    "no config": BadModel(lambda f: (f / "config.json").unlink(), errors.LayoutError, "no config.json"),
    "config is no JSON": BadModel(lambda f: (f / "config.json").write_text("{"), errors.CheckpointError, "config.json"),
    "no weights": BadModel(lambda f: (f / "model.safetensors").unlink(), errors.LayoutError, "no weights"),
    "weights cut off": BadModel(_cut, errors.WeightsError, "cut off"),
    "weights empty": BadModel(
        lambda f: (f / "model.safetensors").write_bytes(b""), errors.WeightsError, "empty (0 bytes)"
    ),
    "a tensor missing": BadModel(_weights(lambda t: t.pop(_PROJECTION)), errors.WeightsError, "1 missing"),
    "a tensor too many": BadModel(
        _weights(lambda t: t.update(stray=torch.ones(1))), errors.WeightsError, "1 unexpected: stray"
    ),
    "a tensor misshapen": BadModel(
        _weights(lambda t: t.update({_PROJECTION: torch.ones(3, 3)})), errors.WeightsError, "3x3"
    ),
    "NaN": BadModel(_weights(lambda t: t[_PROJECTION].view(-1)[5:6].fill_(torch.nan)), errors.WeightsError, "NaN"),
    "a pickle with code": BadModel(_pickled, errors.UnsafeFileError, "pytorch_model.bin"),
    "no tokenizer": BadModel(lambda f: (f / "tokenizer.json").unlink(), errors.LayoutError, "tokenizer"),
    "no image settings": BadModel(
        lambda f: (f / "preprocessor_config.json").unlink(), errors.LayoutError, "preprocessor_config.json"
    ),
    "image settings of another model": BadModel(
        _setting("preprocessor_config.json", crop_size={"height": 48, "width": 48}), errors.LayoutError, "48x48"
    ),
    "tokenizer of another model": BadModel(_long_vocabulary, errors.LayoutError, "of different models"),
    "another padding": BadModel(_other_padding, errors.LayoutError, "pads with id 1, config.json says pad_token_id 0"),
}
