"""From what a user names to a folder on this machine: an existing folder, a preset, or a repository of the hub.

Caching, revisions, mirrors (HF_ENDPOINT) and offline work (HF_HUB_OFFLINE) are those of huggingface_hub, which is
imported here and in hub_errors.py alone, and only when a repository is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypedDict

from altclip.checkpoints.hub_errors import explained
from altclip.checkpoints.weights import is_open_clip
from altclip.errors import CheckpointError, HubError, UsageError
from altclip.models import PRESETS

BUNDLED: Final = "mini"
DRAWS: Final = "mini-diffusion"  # bundled too, and no model of embeddings
# Where the released weights of a preset are to be had.
REPOSITORIES: Final = {
    "altclip": "BAAI/AltCLIP",
    "altclip-m9": "BAAI/AltCLIP-m9",
    "altclip-m18": "BAAI/AltCLIP-m18",
    "clip-vit-l-14": "openai/clip-vit-large-patch14",
}
# Exact names: in the hub's patterns `*` also matches the `/` of sub-folders, which hold other models.
_BESIDE: Final = (
    "config.json", "preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "sentencepiece.bpe.model", "vocab.json", "merges.txt", "vocab.txt",
    "open_clip_config.json", "README.md",
)  # fmt: skip
_SAFETENSORS: Final = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
_PICKLES: Final = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*.bin")
_OPEN_CLIP: Final = (("open_clip_model.safetensors",), ("open_clip_pytorch_model.bin",))
# In order: the first that a repository has is fetched.
_WEIGHTS: Final = (_SAFETENSORS, _OPEN_CLIP[0], _PICKLES, _OPEN_CLIP[1])
# A pipeline of diffusers has no model at its top but this file; the one for here is its text encoder.
_PIPELINE: Final = "model_index.json"
_PLACES: Final = ("", "text_encoder/", "tokenizer/")


class HubOptions(TypedDict, total=False):
    """How a repository is fetched. token: a string, or True for that of `hf auth login`; use_auth_token: the same."""

    revision: str | None
    token: str | bool | None
    use_auth_token: str | bool | None
    cache_dir: str | Path | None
    local_files_only: bool


def resolve(
    path_or_id: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    use_auth_token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    weights: bool = True,
) -> Path:
    """The folder with a model's files, fetched from the hub if need be.

    Args:
        path_or_id: an existing folder; else a preset (`mini` is in the package); else a hub id (`BAAI/AltCLIP-m9`).
            Of a diffusers pipeline it is the text encoder's folder that is returned.
        weights: False fetches the small files alone.

    Raises:
        CheckpointError: a path that is no folder, or the bundled model is not in this installation.
        HubError: the repository cannot be reached, does not exist, or may not be read yet; says how to go on.
    """
    folder = Path(path_or_id).expanduser()
    name = str(path_or_id)
    if name and folder.is_dir():  # an empty name would be the current folder
        return _model_in(folder)
    if name == BUNDLED:
        return bundled_folder(BUNDLED)
    if name == DRAWS:
        raise CheckpointError(
            f"{DRAWS} is the bundled model that draws: `altclip generate` and the server's setting `generate` take it; "
            f"its words are read by {BUNDLED}"
        )
    if name in PRESETS and name not in REPOSITORIES:
        raise UsageError(f"preset '{name}' has no released weights: give a folder with trained ones")
    if isinstance(path_or_id, Path) or folder.is_file() or not _is_hub_id(name):
        raise CheckpointError(_no_folder(folder))
    return _fetch(
        REPOSITORIES.get(name, name),
        revision=revision,
        token=use_auth_token if token is None else token,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        weights=weights,
    )


def _model_in(folder: Path) -> Path:
    """The folder itself, or the text encoder of a pipeline."""
    inner = folder / "text_encoder"
    return inner if (folder / _PIPELINE).is_file() and inner.is_dir() else folder


def bundled_folder(name: str) -> Path:
    """The folder of a model inside the package. Raises CheckpointError if it is not there."""
    folder = Path(str(files("altclip") / "assets" / name))
    if not folder.is_dir():
        raise CheckpointError(f"the bundled model is not in this installation ({folder} is absent): reinstall altclip")
    return folder


def _is_hub_id(name: str) -> bool:
    """`name` or `owner/name`; anything that begins like a path or goes deeper is a path."""
    parts = name.split("/")
    return len(parts) <= 2 and all(parts) and not name.startswith((".", "~")) and "\\" not in name


def _no_folder(folder: Path) -> str:
    if folder.is_file():
        return f"{folder} is a file: give the folder it is in, with its config.json"
    return f"{folder} is no folder here, and no preset ({', '.join(PRESETS)}) nor hub id (owner/name) has this form"


def fetch_files(
    repository: str, patterns: Sequence[str], *, revision: str | None = None, token: str | bool | None = None,
    use_auth_token: str | bool | None = None, cache_dir: str | Path | None = None, local_files_only: bool = False,
) -> Path:  # fmt: skip
    """The folder of a repository with those of its files that have one of these names.

    patterns: exact names, or with `*`, which also matches `/`.

    Raises HubError: the repository cannot be reached, does not exist, or may not be read yet.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    # the last are those of its HTTP library, which differs between its versions
    expected: tuple[Any, ...] = (OSError, ValueError, *HfHubHTTPError.__bases__)
    try:
        folder = huggingface_hub.snapshot_download(
            repository, revision=revision, token=use_auth_token if token is None else token, cache_dir=cache_dir,
            local_files_only=local_files_only, allow_patterns=list(patterns),
        )  # fmt: skip
    except expected as error:
        raise explained(error, repository, revision, cache_dir) from error
    return Path(folder)


def _fetch(
    repository: str, *, revision: str | None, token: str | bool | None, cache_dir: str | Path | None,
    local_files_only: bool, weights: bool,
) -> Path:  # fmt: skip
    def fetch(names: tuple[str, ...]) -> Path:
        patterns = [_PIPELINE, *(place + name for place in _PLACES for name in names)]
        return _model_in(
            fetch_files(
                repository, patterns, revision=revision, token=token, cache_dir=cache_dir,
                local_files_only=local_files_only,
            )
        )  # fmt: skip

    folder = fetch(_BESIDE)
    if not weights:
        return folder
    for names in _OPEN_CLIP if is_open_clip(folder) else _WEIGHTS:
        folder = fetch(_BESIDE + names)
        if _holds(folder, names):
            return folder
    found = ", ".join(sorted(p.name for p in folder.iterdir())) or "nothing"
    raise HubError(
        f"no weights of {repository} are on this machine ({folder} has {found}): expected {_SAFETENSORS[0]} or "
        f"{_PICKLES[0]}. If the repository has them, fetch them where there is a network: hf download {repository}"
    )


def _holds(folder: Path, names: tuple[str, ...]) -> bool:
    return any(any(folder.glob(name)) for name in names)
