"""What a stage that trains towers leaves: a folder that `Encoder`, the model cards' classes and transformers open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from altclip.device import pick_dtype
from altclip.models import DualEncoder
from altclip.processing import Processor
from altclip.train.adapters import merged, save_adapter
from altclip.train.saving import save_folder
from altclip.train.stages.context import Context


def save_towers(model: DualEncoder, context: Context, folder: Path, facts: dict[str, Any]) -> None:
    """`model/`; its config.json says what made it.

    Of a stage with `lora` the adapter goes into `adapter/`, and the model is left only where the recipe asks for it.
    """
    config = context.config
    if config.lora is not None:
        save_adapter(model, folder / "adapter")
        if not config.lora.merge:
            return
        model = merged(model)
    dtype = pick_dtype(config.save_dtype, torch.device("cpu"))
    name = None if config.model else config.start.get("all")
    origin = (name, context.folder(name)) if name else None
    processor = Processor(context.image_processor, context.tokenizer)
    save_folder(model, processor, folder / "model", dtype=dtype, origin=origin, extra={"altclip_training": facts})
