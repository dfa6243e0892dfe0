"""Saving a model as a folder that transformers opens too: config.json and safetensors, whole or not at all.

Order: every file is written beside its place under another name; when all are on the disk they are renamed, weights
before config.json; then weight files of an earlier save that would be read instead are removed. A full disk or a kill
on the way leaves what was there, and a model that is mapped to the old files keeps them.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from altclip.checkpoints.layouts import Layout, Settings, layout_for
from altclip.checkpoints.opening import CONFIG_NAME
from altclip.checkpoints.weights import PICKLE, PICKLE_INDEX, SAFETENSORS, SAFETENSORS_INDEX
from altclip.errors import CheckpointError, LayoutError
from altclip.models import DualEncoder

_SHARD: Final = "model-{:05d}-of-{:05d}.safetensors"
_SHARD_SIZE: Final = 5 * 10**9  # bytes, as in transformers


def save_model(
    model: DualEncoder,
    folder: str | Path,
    *,
    dtype: torch.dtype | None = None,
    max_shard_size: int = _SHARD_SIZE,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model in the layout of its family; returns the folder.

    Args:
        model: stays as it is, on its device.
        folder: is made if absent. It may be the one that the model was loaded from.
        dtype: format in the files; None keeps the model's.
        max_shard_size: bytes in one weight file at most.
        extra: entries to add to config.json (seeds, digests, commit).

    Raises:
        LayoutError: no layout holds such a model.
        CheckpointError: the files cannot be written; those that were there are whole.
    """
    layout = layout_for(model.config)
    settings = {**layout.write(model.config), **(extra or {})}
    return save_module(model, layout, settings, folder, dtype=dtype, max_shard_size=max_shard_size)


def save_module(
    module: nn.Module,
    layout: Layout,
    settings: Settings,
    folder: str | Path,
    *,
    dtype: torch.dtype | None = None,
    max_shard_size: int = _SHARD_SIZE,
) -> Path:
    """As `save_model`, for a module of which the layout knows all parameters, with the config.json given."""
    tensors = _named(module, layout, dtype)
    kept = dtype or next(iter(tensors.values())).dtype
    shards = _shards(tensors, max_shard_size)
    target = Path(folder)
    with _errors_of(target):
        target.mkdir(parents=True, exist_ok=True)
        described = {key: value for key, value in settings.items() if key != "dtype"}  # so transformers 5 calls it
        _write(target, shards, {**described, "torch_dtype": str(kept).removeprefix("torch.")})
        _remove_stale(target, keep=set(shards))
    return target


def save_settings(settings: Settings, folder: str | Path) -> None:
    """Write config.json alone. Raises CheckpointError if it cannot be written."""
    target = Path(folder)
    with _errors_of(target):
        target.mkdir(parents=True, exist_ok=True)
        with _renamed_at_the_end(target) as place:
            _write_json(place(CONFIG_NAME), settings)


def _named(module: nn.Module, layout: Layout, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """The tensors under the layout's names. The logit scale is left out where there is no place: files of one tower."""
    state = module.state_dict()
    homeless = [ours for ours in state if not layout.theirs(ours) and ours != "logit_scale"]
    if homeless:
        raise LayoutError(f"{layout.name} has no place for {', '.join(homeless)}")
    named = ((layout.theirs(ours), tensor) for ours, tensor in state.items())
    return {name: tensor.to(dtype or tensor.dtype) for name, tensor in named if name}


def _shards(tensors: Mapping[str, Tensor], limit: int) -> dict[str, dict[str, Tensor]]:
    """File name -> its tensors, each file at most `limit` bytes (or one larger tensor)."""
    groups: list[dict[str, Tensor]] = [{}]
    for name, tensor in tensors.items():
        if groups[-1] and sum(t.nbytes for t in groups[-1].values()) + tensor.nbytes > limit:
            groups.append({})
        groups[-1][name] = tensor
    if len(groups) == 1:
        return {SAFETENSORS: groups[0]}
    return {_SHARD.format(number, len(groups)): group for number, group in enumerate(groups, 1)}


def _write(folder: Path, shards: Mapping[str, Mapping[str, Tensor]], settings: Settings) -> None:
    with _renamed_at_the_end(folder) as place:
        _write_json(config := place(CONFIG_NAME), settings)
        if SAFETENSORS not in shards:
            size = sum(t.nbytes for tensors in shards.values() for t in tensors.values())
            where = {key: name for name, tensors in shards.items() for key in tensors}
            _write_json(place(SAFETENSORS_INDEX), {"metadata": {"total_size": size}, "weight_map": where})
        for name, tensors in shards.items():
            whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
            save_file(whole, path := place(name), metadata={"format": "pt"})
            shutil.copymode(config, path)  # safetensors makes files that no other user may read


class _Places:
    """Names under which files are written before they are renamed, the first of them last."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mark = folder, f".{uuid.uuid4().hex}.tmp"
        self.names: list[str] = []

    def __call__(self, name: str) -> Path:
        self.names.append(name)
        return self.temporary(name)

    def temporary(self, name: str) -> Path:
        return self.folder / f".{name}{self.mark}"


@contextmanager
def _renamed_at_the_end(folder: Path) -> Iterator[_Places]:
    place = _Places(folder)
    try:
        yield place
        for name in place.names:
            _flush(place.temporary(name))
        for name in reversed(place.names):
            place.temporary(name).replace(folder / name)
        _flush(folder)
    finally:
        for name in place.names:
            place.temporary(name).unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Wait until a file, or a folder's names, are on the disk. Windows cannot open folders, and needs it not."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_stale(folder: Path, keep: set[str]) -> None:
    index = set() if SAFETENSORS in keep else {SAFETENSORS_INDEX}
    old = [*folder.glob("model-*-of-*.safetensors"), *folder.glob("pytorch_model-*-of-*.bin")]
    old += [folder / name for name in (SAFETENSORS, SAFETENSORS_INDEX, PICKLE, PICKLE_INDEX)]
    for path in old:
        if path.name not in keep | index:
            path.unlink(missing_ok=True)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def _errors_of(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"the model cannot be written to {folder} ({error}): make room or give another folder; "
            "what was there before is whole"
        ) from error
