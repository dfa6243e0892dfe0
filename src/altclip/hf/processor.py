"""AltCLIPProcessor: the processor, opened by folder or hub id."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from altclip.checkpoints import resolve
from altclip.hf.options import sort_options
from altclip.processing import Processor


class AltCLIPProcessor(Processor):
    """Images and texts as the model takes them; see `Processor` for the call."""

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path, **options: Any) -> Self:
        """From a folder, preset or hub id. options: those of `altclip.checkpoints.resolve` (revision, token, ...).

        Raises:
            LayoutError: the settings for images or the tokenizer's files are missing or damaged.
            HubError: the repository cannot be had.
        """
        hub, _ = sort_options(options, ())
        return cls.from_folder(resolve(path_or_id, weights=False, **hub))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the files that transformers reads into a folder, which is made if absent."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.save(folder)
