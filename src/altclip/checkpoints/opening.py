"""A folder opened: its configuration, its weight files, and the layout that ties the two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch.overrides import TorchFunctionMode

from altclip.checkpoints.families import check_one_family
from altclip.checkpoints.layouts import Layout, layout_of
from altclip.checkpoints.layouts.taiyi import READOUTS
from altclip.checkpoints.pieces import in_pieces
from altclip.checkpoints.weights import (
    CONFIG,
    OPEN_CLIP_CONFIG,
    Weights,
    is_of_open_clip,
    is_open_clip,
    open_weights,
    read_json,
)
from altclip.errors import LayoutError, UsageError
from altclip.models import DualEncoder, ModelConfig

CONFIG_NAME: Final = CONFIG
TOKENIZER_DIGEST: Final = "tokenizer_sha256"  # what our trained models say of their tokenizer.json
_DRAWING: Final = frozenset(
    {"normal_", "uniform_", "fill_", "zero_", "kaiming_uniform_", "ones_", "zeros_", "constant_"}
)


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose layout is known. settings: its config.json; config: the same as a model's."""

    folder: Path
    settings: Mapping[str, Any]
    weights: Weights
    layout: Layout
    config: ModelConfig


def read_settings(folder: Path) -> dict[str, Any]:
    """The content of a folder's config.json, or of open_clip's. Raises LayoutError if there is none."""
    file = config_file(folder)
    if file is not None:
        return read_json(file)
    found = ", ".join(sorted(p.name for p in folder.iterdir())[:20]) or "nothing"
    raise LayoutError(f"{folder} has no {CONFIG_NAME}: expected a folder that save_pretrained wrote, found {found}")


def config_file(folder: Path) -> Path | None:
    """The file that describes the model; None in a folder of weights alone."""
    file = folder / (OPEN_CLIP_CONFIG if is_open_clip(folder) else CONFIG_NAME)
    return file if file.is_file() else None


def settings_of(folder: Path) -> dict[str, Any]:
    """As `read_settings`; nothing of a folder of weights alone."""
    file = config_file(folder)
    return {} if file is None else read_json(file)


def our_shapes(layout: Layout, weights: Weights) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors that are ours, by our names."""
    named = ((layout.ours(layout.canonical(key)), row.shape) for key, row in weights.entries.items())
    return {ours: shape for ours, shape in named if ours}


def open_checkpoint(folder: Path) -> Checkpoint:
    """Tell the layout of a folder and read its configuration; weights are listed, not read.

    Raises:
        LayoutError: config.json or the weights are absent, no layout fits, or the configuration is none we compute.
        WeightsError: a weight file is damaged.
        UnsafeFileError: a pickle that carries code.
    """
    weights, settings = open_weights(folder), settings_of(folder)
    file = config_file(folder)
    try:
        layout = layout_of(settings, weights.entries)
    except LayoutError as error:
        if file is None:
            read_settings(folder)  # raises: few layouts do without
        raise LayoutError(f"{folder}: {error}") from error
    if file is None and is_of_open_clip(weights):
        raise LayoutError(f"{folder} has no {OPEN_CLIP_CONFIG}: without it nobody knows sizes and activation; fetch it")
    check_one_family(folder, weights, layout, settings)
    return _described(folder, settings, in_pieces(weights, layout), layout)


def with_readout(checkpoint: Checkpoint) -> Checkpoint:
    """A plain text tower as the text encoder that it also is: a BERT with its pooler as Taiyi's; others as they are."""
    layout = READOUTS.get(checkpoint.layout.name)
    if layout is None or layout.misses(checkpoint.settings, checkpoint.weights.entries):
        return checkpoint
    return _described(checkpoint.folder, checkpoint.settings, checkpoint.weights, layout)


def _described(folder: Path, settings: Mapping[str, Any], weights: Weights, layout: Layout) -> Checkpoint:
    try:
        config = layout.read(settings, our_shapes(layout, weights))
    except LayoutError as error:
        raise LayoutError(f"{config_file(folder) or folder}, read as {layout.name}: {error}") from error
    return Checkpoint(folder, settings, weights, layout, config)


class _NoDrawing(TorchFunctionMode):
    """Leaves tensors as they are where modules draw their first values.

    On the meta device there is nothing to draw, yet torch would import its compiler for that: seconds.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__name__", "") in _DRAWING:
            return args[0] if args else next(iter(kwargs.values()))
        return function(*args, **(kwargs or {}))


@contextmanager
def without_memory() -> Iterator[None]:
    """Modules made inside have parameters without values, on the meta device."""
    with torch.device("meta"), _NoDrawing():
        yield


def empty_model_of(checkpoint: Checkpoint) -> DualEncoder:
    """The model that a folder's configuration describes, without weights. Raises LayoutError if it cannot be built."""
    try:
        with without_memory():
            return DualEncoder(checkpoint.config)
    except UsageError as error:
        raise LayoutError(f"{checkpoint.folder / CONFIG_NAME}: {error}") from error
