"""Two families where one should be: in one file, or in two files of one folder. Either is an error that names both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from altclip.checkpoints.layouts import LAYOUTS, Layout, layout_of
from altclip.checkpoints.layouts.chinese_clip import CHINESE_CLIP, CHINESE_CLIP_ORIGINAL
from altclip.checkpoints.layouts.clip import CLIP
from altclip.checkpoints.layouts.open_clip import OPEN_CLIP, OPENAI
from altclip.checkpoints.pieces import pieces
from altclip.checkpoints.weights import Weights, open_file, other_files
from altclip.errors import CheckpointError, LayoutError

# Layouts of one family, of which one may have been made from the other.
_SPELLINGS: Final = ({CLIP.name, OPEN_CLIP.name, OPENAI.name}, {CHINESE_CLIP.name, CHINESE_CLIP_ORIGINAL.name})
# What programs for training leave beside the weights.
_STATE: Final = ("optimizer", "scheduler", "scaler", "rng_state", "training_args", "random_states")


def check_one_family(folder: Path, weights: Weights, layout: Layout, settings: Mapping[str, Any]) -> None:
    """Raise LayoutError where tensors or files of another family lie among or beside those of this layout."""
    keys = list(weights.entries)
    for other in _more_families(keys, layout, settings):
        raise LayoutError(
            f"{folder} holds tensors of two families, {layout.name} and {other.name}: "
            "which is meant? Put each into a folder of its own, with its config.json and tokenizer"
        )
    read = {row.file for row in weights.entries.values()}
    for file in other_files(folder):
        found = None if file in read or file.name.startswith(_STATE) else _layout_in(file, settings)
        if found is not None and not _same(found, layout):
            raise LayoutError(
                f"{folder} holds two families, {layout.name} in {min(read).name} and {found.name} in {file.name}: "
                "which is meant? Put each into a folder of its own, with its config.json and tokenizer"
            )


def _same(one: Layout, other: Layout) -> bool:
    return one is other or any({one.name, other.name} <= names for names in _SPELLINGS)


def _more_families(keys: Iterable[str], layout: Layout, settings: Mapping[str, Any]) -> list[Layout]:
    """Layouts that fit too, and know names that this one does not."""
    unknown = [key for key in keys if not _knows(layout, key)]
    fitting = (other for other in LAYOUTS if other is not layout and not other.misses(settings, keys))
    return [other for other in fitting if any(_knows(other, key) for key in unknown)] if unknown else []


def _knows(layout: Layout, key: str) -> bool:
    names = [layout.canonical(name) for name, _ in pieces(layout, key)]
    return all(layout.ours(name) or layout.is_ignored(name) for name in names)


def _layout_in(file: Path, settings: Mapping[str, Any]) -> Layout | None:
    """The layout of another file of the folder; None for what is no model, or cannot be read."""
    try:
        return layout_of(settings, open_file(file).entries)
    except CheckpointError:
        return None
