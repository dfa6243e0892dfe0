"""The form `hf`: the folder of the model's family as transformers opens it, with a card."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

from altclip.encoder import Encoder
from altclip.export.folders import check_target, whole_folder
from altclip.export.forms import Converted, crop_notes, facts
from altclip.export.lineage import folders_of, lineage_of, write_lineage

NAMES: Final = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


def name_of(encoder: Encoder) -> str:
    """The number format of the model's weights, in which they are written whatever an engine computes in."""
    dtype = next(encoder.model.parameters()).dtype
    return NAMES.get(dtype, str(dtype))


_ABOUT: Final = """\
Weights (safetensors), configuration, tokenizer and image settings.

```python
from altclip import Encoder
Encoder("THIS_FOLDER").classify("photo.jpg", ["a cat", "a dog"])
```

Folders of the families AltCLIP, CLIP and Chinese-CLIP open in transformers too: `AutoModel.from_pretrained` and
`AutoProcessor.from_pretrained`."""


def to_huggingface(encoder: Encoder, output: str | Path, *, overwrite: bool = False) -> Converted:
    """Write a model, in the number format it was opened in, as a Hugging Face folder with model card and licence.

    Raises:
        UsageError: the output folder is not empty (and not `overwrite`), or cannot be made.
        LayoutError: no layout holds such a model.
        CheckpointError: the disk is full or read-only; nothing is left.
    """
    place = check_target(output, overwrite=overwrite, sources=folders_of(encoder))
    lineage, precision = lineage_of(encoder), name_of(encoder)
    with whole_folder(place) as folder:
        encoder.save(folder)
        write_lineage(
            lineage, folder, title="Hugging Face folder", library="transformers", about=_ABOUT,
            facts=facts(encoder, "hf", precision),
        )  # fmt: skip
    return Converted(place, "hf", precision, notes=crop_notes(encoder))
