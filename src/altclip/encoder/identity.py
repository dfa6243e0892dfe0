"""Which model made an embedding: a digest of everything that decides it, the same on every device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from altclip.checkpoints.weights import open_weights
from altclip.data.cache import digest_weights
from altclip.encoder.loading import HEAD, Parts

# What prepares images and texts. config.json is not among them: it changes with the version of who wrote it.
_PREPARING: Final = (
    "preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "sentencepiece.bpe.model", "vocab.json", "merges.txt", "vocab.txt",
    "open_clip_config.json",
)  # fmt: skip


def digest(parts: Parts) -> str:
    """SHA-256 over the weights and the files that prepare images and texts, and a read-out other than the usual.

    Of a model opened from folders these are the files there; of a model in memory, its tensors in their present format.
    """
    if parts.folder is not None:
        folders = [folder for folder in (parts.folder, parts.image_folder) if folder is not None]
        files = [file for folder in folders for file in (*_weight_files(folder), *_preparing(folder))]
        return _joined([*map(_file_digest, files), *_readout(parts)])
    flat = ((name, tensor.reshape(-1)) for name, tensor in parts.model.state_dict().items())
    with TemporaryDirectory() as folder:
        for part in (parts.image_processor, parts.tokenizer):
            if part is not None:
                part.save(folder)
        return _joined([digest_weights(flat), *map(_file_digest, _preparing(Path(folder))), *_readout(parts)])


def _readout(parts: Parts) -> list[str]:
    return [] if parts.head == HEAD else [f"head {parts.head}"]


def _weight_files(folder: Path) -> list[Path]:
    return sorted({stored.file for stored in open_weights(folder).entries.values()})


def _preparing(folder: Path) -> list[Path]:
    return [path for name in _PREPARING if (path := folder / name).is_file()]


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}"


def _joined(digests: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
