"""A picture with what it was made by, which its PNG file keeps; and several pictures as one sheet.

The file has two entries: `altclip`, JSON that `read_parameters` gives back, and `parameters`, the line that other
programs for pictures of this kind write and show.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image, PngImagePlugin

from altclip.errors import ImageError, UsageError
from altclip.whole import write_whole

KEY: Final = "altclip"
_LINE: Final = "parameters"
_NAMES: Final = {
    "steps": "Steps", "sampler": "Sampler", "guidance": "CFG scale", "seed": "Seed", "strength": "Denoising strength",
    "model": "Model",
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A finished picture.

    parameters: prompt, seed and everything else that it takes to draw it again. withheld: the model's safety checker
    found it unsafe and blackened it; None without a checker.
    """

    image: Image.Image
    parameters: Mapping[str, Any]
    withheld: bool | None = None

    def png(self) -> bytes:
        """The file, as bytes."""
        return _png(self.image, _info(self.parameters))

    def save(self, path: str | Path) -> Path:
        """Write a PNG with the parameters in it: whole or not at all. Raises UsageError if it cannot be written."""
        return save_png(self.image, path, _info(self.parameters))


def save_png(image: Image.Image, path: str | Path, info: PngImagePlugin.PngInfo | None = None) -> Path:
    """Write a PNG: whole or not at all. Raises UsageError if it cannot be written."""
    target = Path(path)
    try:
        write_whole(target, _png(image, info))
    except OSError as error:
        raise UsageError(f"{target} cannot be written ({error.strerror or error}): name another place") from error
    return target


def _png(image: Image.Image, info: PngImagePlugin.PngInfo | None) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def _info(parameters: Mapping[str, Any]) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(_LINE, _whole(line(parameters)))
    info.add_itxt(KEY, json.dumps(dict(parameters), ensure_ascii=True))
    return info


def _whole(text: str) -> str:
    """Without NUL, which ends a PNG's texts, and unpaired surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def line(parameters: Mapping[str, Any]) -> str:
    """Prompt, negative prompt, and `Steps: 50, Sampler: ddim, ...`, each in a line."""
    found = {theirs: parameters[ours] for ours, theirs in _NAMES.items() if parameters.get(ours) is not None}
    found["Size"] = f"{parameters['width']}x{parameters['height']}"
    negative = parameters.get("negative_prompt")
    rows = [str(parameters["prompt"]), *([f"Negative prompt: {negative}"] if negative else [])]
    return "\n".join([*rows, ", ".join(f"{name}: {value}" for name, value in found.items())])


def read_parameters(path: str | Path) -> dict[str, Any]:
    """What a PNG of `Picture.save` was made by. Raises ImageError for a file that does not say."""
    try:
        with Image.open(path) as image:
            found = json.loads(image.info[KEY])
    except (OSError, KeyError, ValueError) as error:
        raise ImageError(str(path), "no picture of altclip with its parameters") from error
    return dict(found)


def grid(images: Sequence[Image.Image], columns: int | None = None, gap: int = 2) -> Image.Image:
    """Pictures in rows, as near to a square as they go, or in so many columns. Raises UsageError for none."""
    if not images:
        raise UsageError("no pictures to put into a sheet")
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    width, height = (max(image.size[axis] for image in images) for axis in (0, 1))
    sheet = Image.new("RGB", (columns * (width + gap) + gap, rows * (height + gap) + gap), "white")
    for place, image in enumerate(images):
        row, column = divmod(place, columns)
        sheet.paste(image, (gap + column * (width + gap), gap + row * (height + gap)))
    return sheet
