"""The weight files of a folder: which there are, what tensors they hold, and reading these one by one.

safetensors are memory-mapped: a tensor is a view of the file, and its pages count once. The file may be deleted or
replaced by renaming meanwhile (as `save_model` does), since the mapping holds on to it; a program that writes *into*
the file would change the weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from altclip.checkpoints.pickles import load_pickle
from altclip.errors import CheckpointError, LayoutError, WeightsError

CONFIG: Final = "config.json"
SAFETENSORS: Final = "model.safetensors"
SAFETENSORS_INDEX: Final = "model.safetensors.index.json"
PICKLE: Final = "pytorch_model.bin"
PICKLE_INDEX: Final = "pytorch_model.bin.index.json"
OPEN_CLIP_CONFIG: Final = "open_clip_config.json"
_OPEN_CLIP: Final = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
# In the order of preference; transformers has the same, and knows not the last two.
_NAMES: Final = (SAFETENSORS, SAFETENSORS_INDEX, PICKLE, PICKLE_INDEX, *_OPEN_CLIP)

_SHARD: Final = re.compile(r"model-\d+-of-\d+\.safetensors")

# When tensors are converted, at most about this many bytes of mapped file stay in memory beside the converted ones.
_MAPPED_AT_ONCE: Final = 16 * 2**20
_LONGEST_HEADER: Final = 100_000_000  # the limit of the format
_DTYPES: Final = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """One tensor of a file."""

    file: Path
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        return torch.Size(self.shape).numel() * self.dtype.itemsize


class Weights(Protocol):
    """The tensors of a folder. `read` yields them in any order; release: they will not be kept, so drop their pages."""

    entries: Mapping[str, Stored]

    def read(self, keys: Iterable[str], *, release: bool) -> Iterator[tuple[str, Tensor]]: ...


def open_weights(folder: Path) -> Weights:
    """The weights of a folder: safetensors before pickles, whole or in shards.

    Raises:
        LayoutError: there are none.
        WeightsError: a file is damaged, or a shard is missing.
        UnsafeFileError: a pickle that carries code.
    """
    return _opened(_weight_files(folder))


def open_file(file: Path) -> Weights:
    """The weights in one file; raises as `open_weights`."""
    return _opened([file])


def _opened(files: Sequence[Path]) -> Weights:
    for file in files:
        _check_is_data(file)
    return SafetensorsWeights(files) if files[0].suffix == ".safetensors" else PickleWeights(files)


class SafetensorsWeights:
    """Memory-mapped files of the safetensors format."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.entries: Mapping[str, Stored] = {key: row for file in files for key, row in _listed(file).items()}

    def read(self, keys: Iterable[str], *, release: bool) -> Iterator[tuple[str, Tensor]]:
        """Yield the tensors.

        A mapping ends when its handle and its tensors are gone. So with `release` the file is opened anew now and then;
        the largest tensors go first, while little else is in memory.
        """
        wanted = sorted(keys, key=self._place) if release else list(keys)
        for batch in self._batches(wanted, release):
            try:
                with safe_open(self.entries[batch[0]].file, framework="pt") as handle:
                    for key in batch:
                        yield key, handle.get_tensor(key)
            except SafetensorError as error:
                raise WeightsError(f"{self.entries[batch[0]].file}: {error}") from error

    def _place(self, key: str) -> tuple[int, Path]:
        stored = self.entries[key]
        return (-stored.nbytes if stored.nbytes > _MAPPED_AT_ONCE else 0), stored.file

    def _batches(self, keys: Sequence[str], release: bool) -> Iterator[list[str]]:
        """Runs of keys that are read through one opening of one file."""
        batch: list[str] = []
        mapped = 0
        for key in keys:
            if batch and (self.entries[key].file != self.entries[batch[0]].file or mapped >= _MAPPED_AT_ONCE):
                yield batch
                batch, mapped = [], 0
            batch.append(key)
            mapped += self.entries[key].nbytes if release else 0
        if batch:
            yield batch


class PickleWeights:
    """Files that `torch.save` wrote; they are read when this is made, as they have no list of what they hold."""

    def __init__(self, files: Sequence[Path]) -> None:
        read = [(file, load_pickle(file)) for file in files]
        self._tensors = {key: tensor for _, tensors in read for key, tensor in tensors.items()}
        self.entries: Mapping[str, Stored] = {
            key: Stored(file, tuple(tensor.shape), tensor.dtype)
            for file, tensors in read
            for key, tensor in tensors.items()
        }

    def read(self, keys: Iterable[str], *, release: bool) -> Iterator[tuple[str, Tensor]]:
        """Yield the tensors; with `release` they can be read once."""
        for key in keys:
            yield key, self._tensors.pop(key) if release else self._tensors[key]


def is_open_clip(folder: Path) -> bool:
    """Whether open_clip's files are the ones to take: where transformers' are absent, or timm's lie in their place.

    timm's own config.json names an `architecture` and no `model_type`; its weights are the image tower alone.
    """
    if not (folder / OPEN_CLIP_CONFIG).is_file():
        return False
    config = folder / CONFIG
    timm = config.is_file() and not read_json(config).get("model_type")
    there = [name for name in _NAMES if (folder / name).is_file()]
    return timm or not config.is_file() or bool(there and set(there) <= set(_OPEN_CLIP))


def is_of_open_clip(weights: Weights) -> bool:
    """Whether the weights were read from a file that open_clip named."""
    return any(row.file.name in _OPEN_CLIP for row in weights.entries.values())


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises CheckpointError if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): fetch it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}: expected a JSON object")
    return content


def _weight_files(folder: Path) -> list[Path]:
    for name in (*_OPEN_CLIP, *_NAMES) if is_open_clip(folder) else _NAMES:
        if (folder / name).is_file():
            return _shards(folder / name) if name.endswith(".json") else [folder / name]
    others = other_files(folder)
    if len(others) == 1:
        return others
    if others:
        raise LayoutError(
            f"{folder} has several weights ({', '.join(file.name for file in others)}): which are meant? "
            "Put each in a folder of its own, with its config.json and tokenizer"
        )
    found = ", ".join(sorted(p.name for p in folder.iterdir())[:20]) or "nothing"
    raise LayoutError(f"{folder} has no weights: expected {' or '.join(_NAMES)}, found {found}")


def other_files(folder: Path) -> list[Path]:
    """Files that may be weights, under names that neither transformers nor open_clip give them."""
    found = [file for suffix in ("safetensors", "pt", "pth") for file in sorted(folder.glob(f"*.{suffix}"))]
    return [file for file in found if file.name not in _NAMES and not _SHARD.fullmatch(file.name)]


def _shards(index: Path) -> list[Path]:
    named = read_json(index).get("weight_map")
    if not isinstance(named, dict) or not named:
        raise WeightsError(f"{index} has no 'weight_map': expected the file of each tensor; fetch it again")
    files = [index.parent / str(name) for name in sorted(set(map(str, named.values())))]
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise WeightsError(f"{index} names {len(files)} files, of which {', '.join(absent)} are missing: fetch them")
    return files


def _check_is_data(file: Path) -> None:
    """Raises WeightsError for an empty file, and for the note that git leaves where a large file should be."""
    with file.open("rb") as opened:
        start = opened.read(40)
    if not start:
        raise WeightsError(f"{file} is empty (0 bytes): fetch it again")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{file} is a Git LFS pointer, not the weights: run `git lfs pull` in its repository")


def _listed(file: Path) -> dict[str, Stored]:
    """The tensors that a safetensors file promises. Raises WeightsError unless it is as long as its header says."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if size < 8 or length > min(size - 8, _LONGEST_HEADER):
            raise WeightsError(f"{file} is no safetensors file or is cut off ({size:,} bytes): fetch it again")
        header = opened.read(length)
    try:
        rows = {key: row for key, row in json.loads(header).items() if key != "__metadata__"}
        strange = {row["dtype"] for row in rows.values()} - _DTYPES.keys()
        if strange:
            raise WeightsError(f"{file} has tensors of {', '.join(sorted(strange))}: expected {', '.join(_DTYPES)}")
        stored = {key: Stored(file, tuple(row["shape"]), _DTYPES[row["dtype"]]) for key, row in rows.items()}
        end = 8 + length + max((row["data_offsets"][1] for row in rows.values()), default=0)
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise WeightsError(f"{file} has a damaged header ({error!r}): fetch it again") from error
    if size != end:
        raise WeightsError(
            f"{file} has {size:,} bytes, its header promises {end:,}: cut off or damaged; fetch it again"
        )
    return stored
