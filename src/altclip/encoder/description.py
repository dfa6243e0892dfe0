"""What a model is, told without loading its weights: for `altclip info` and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from altclip.checkpoints import open_checkpoint, read_settings, resolve
from altclip.checkpoints.card import card_of
from altclip.checkpoints.hub import BUNDLED, REPOSITORIES
from altclip.checkpoints.opening import without_memory
from altclip.errors import HubError
from altclip.models import PRESETS, DualEncoder, ModelConfig


@dataclass(frozen=True)
class Description:
    """parameters: how many, by tower and in all; config: sizes and heads, None where only the weights could tell.

    filled: sizes that its files leave out, and the family's values taken for them.
    files: name and bytes of what is on this machine; weights_here: whether the weights are; formats: of the weights.
    """

    model: str
    folder: str | None
    family: str | None
    languages: tuple[str, ...] | None
    licence: str | None
    licence_files: tuple[str, ...] = ()
    weights_here: bool = False
    formats: tuple[str, ...] = ()
    parameters: Mapping[str, int] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    filled: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def describe(model: str | Path) -> Description:
    """What a folder, preset or hub id is. Of a hub model whose weights are not here, the small files are fetched.

    Raises:
        CheckpointError: the folder is no model, or is damaged; see `open_checkpoint`. HubError only if nothing at all
            is known of the model: of a preset the sizes are.
    """
    name = str(model)
    if name in PRESETS and name not in {*REPOSITORIES, BUNDLED} and not Path(name).expanduser().is_dir():
        return _of_sizes(name, None, "preset", PRESETS[name], {})  # sizes to train, which nobody has released
    try:
        return _of_folder(name, resolve(model, local_files_only=True))
    except HubError:
        if name in PRESETS:
            return _of_sizes(name, None, "preset", PRESETS[name], {})
        folder = resolve(model, weights=False)
        return _of_sizes(name, folder, None, None, read_settings(folder))


def _of_folder(name: str, folder: Path) -> Description:
    checkpoint = open_checkpoint(folder)
    stored = checkpoint.weights.entries.values()
    card = card_of(name, folder, checkpoint.settings)
    return Description(
        model=name,
        folder=str(folder),
        family=checkpoint.layout.name,
        languages=card.languages,
        licence=card.licence,
        licence_files=tuple(sorted(path.name for path in folder.glob("LICEN[CS]E*"))),
        weights_here=True,
        formats=tuple(sorted({str(row.dtype).removeprefix("torch.") for row in stored})),
        parameters=count_parameters(checkpoint.config),
        config=checkpoint.config.to_dict(),
        filled=checkpoint.layout.absent(checkpoint.settings),
        files=_files(folder),
    )


def _of_sizes(
    name: str, folder: Path | None, family: str | None, config: ModelConfig | None, settings: Mapping[str, Any]
) -> Description:
    card = card_of(name, folder, settings)
    return Description(
        model=name,
        folder=str(folder) if folder else None,
        family=family or settings.get("model_type"),
        languages=card.languages,
        licence=card.licence,
        parameters=count_parameters(config) if config else {},
        config=config.to_dict() if config else None,
        files=_files(folder) if folder else {},
    )


def count_parameters(config: ModelConfig) -> dict[str, int]:
    """How many numbers are learned: in the image tower, in the text tower (each with its projection), and in all."""
    counts = {"image": 0, "text": 0, "all": 0}
    with without_memory():
        model = DualEncoder(config)
    for name, parameter in model.named_parameters():
        counts["all"] += parameter.numel()
        if name.startswith(("vision.", "visual_projection.")):
            counts["image"] += parameter.numel()
        elif name.startswith("text."):
            counts["text"] += parameter.numel()
    return counts


def _files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
