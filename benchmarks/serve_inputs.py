"""The models that serve.py measures, and what its clients send."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from encode_setting import label_prompts, read_captions
from PIL import Image
from serve_servers import Form

_TEXTS: Final = 4_000
_IMAGES: Final = 200
_SIDE: Final = 256


def model_folder(name: str, folder: Path) -> Path:
    """A folder that altclip and transformers open: the bundled model, or random weights of the base size."""
    import torch

    import altclip
    from altclip.encoder import Encoder
    from altclip.export import to_huggingface
    from altclip.processing import Processor

    source = Encoder("mini", device="cpu", engine="torch", dtype=torch.float32)
    if name == "base":
        processor = Processor.from_folder(Path(altclip.__file__).parent / "assets" / "mini")
        source = Encoder.from_model(base_model(), processor, engine="torch")
    to_huggingface(source, folder)
    return folder


def base_model() -> Any:
    """12 layers of 768 for texts, and ViT-B/16 for images of 64 pixels; the tokenizer and image size are mini's."""
    import torch

    from altclip.models import DualEncoder, initialise, preset

    config = preset("mini")
    wide: dict[str, Any] = {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
    }  # fmt: skip
    if config.text is None or config.vision is None:
        raise SystemExit("the preset mini has lost a tower")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        larger = replace(config, text=replace(config.text, **wide), vision=replace(config.vision, **wide))
        return initialise(DualEncoder(larger)).eval()


def bodies(kind: str, data: Path | None, form: Form) -> list[dict[str, Any]]:
    """Captions of nine languages in turn, each with its number; or drawn photographs of 256 pixels as JPEG."""
    if kind == "image":
        return [form(kind, uri) for uri in (picture(number) for number in range(_IMAGES))]
    by_language = read_captions(data) if data else label_prompts()
    few = min(map(len, by_language.values()))
    texts = [of[place] for place in range(few) for of in by_language.values()]
    return [form(kind, f"{text} NUMBER") for text in texts[:_TEXTS]]


def picture(number: int) -> str:
    """As a data URI, about 15 kB."""
    draw = np.random.default_rng(number)
    coarse = Image.fromarray(draw.integers(0, 256, (24, 24, 3), np.uint8)).resize(
        (_SIDE, _SIDE), Image.Resampling.BICUBIC
    )
    noisy = np.asarray(coarse, np.int16) + draw.normal(0, 6, (_SIDE, _SIDE, 3)).astype(np.int16)
    buffer = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
