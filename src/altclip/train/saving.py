"""Folders that appear when whole: written beside their place under another name, then renamed."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from altclip.checkpoints import TOKENIZER_DIGEST, read_settings, save_model
from altclip.checkpoints.card import card_of
from altclip.errors import CheckpointError
from altclip.models import DualEncoder
from altclip.processing import Processor


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A fresh folder that takes the place of `folder` if all goes well, and is removed if not.

    Raises CheckpointError where the disk is full or may not be written.
    """
    mark = uuid.uuid4().hex[:8]
    fresh, old = (folder.with_name(f".{folder.name}.{mark}.{kind}") for kind in ("part", "old"))
    try:
        fresh.mkdir(parents=True)
        yield fresh
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError, CheckpointError) as error:
        if isinstance(error, CheckpointError) and type(error) is not CheckpointError:
            raise
        raise CheckpointError(f"{folder} cannot be written ({error}): make room, or give another folder") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def save_folder(
    model: DualEncoder,
    processor: Processor,
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
    origin: tuple[str, Path] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """A folder that `Encoder`, the model cards' classes and transformers open, whole or not at all.

    origin: name and folder of the model that this one was made from, whose licence and languages go with it.
    extra: entries of config.json. Raises CheckpointError.
    """
    with whole_folder(folder) as fresh:
        processor.save(fresh)
        digest = hashlib.sha256((fresh / "tokenizer.json").read_bytes()).hexdigest()
        facts = {TOKENIZER_DIGEST: digest, **(inherited(*origin) if origin else {}), **(extra or {})}
        save_model(model, fresh, dtype=dtype, extra=facts)
        for licence in origin[1].glob("LICENSE*") if origin else ():
            shutil.copy(licence, fresh / licence.name)
    return folder


def inherited(name: str, folder: Path) -> dict[str, Any]:
    """What a model has from the one it was made from, as entries of config.json."""
    return card_of(name, folder, read_settings(folder)).to_settings()
