"""The form `sentence-transformers`: a folder that `SentenceTransformer(path)` opens, without code of its own.

Its module `Transformer` (since 5.4) calls a method of the transformers model for each kind of input; for the families
AltCLIP, CLIP and Chinese-CLIP these are `get_text_features` and `get_image_features`. Its module `Normalize` follows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from altclip.encoder import Encoder
from altclip.errors import LayoutError
from altclip.export.folders import check_target, whole_folder
from altclip.export.forms import Converted, check_both, crop_notes, facts, longest_text
from altclip.export.huggingface import name_of
from altclip.export.lineage import folders_of, lineage_of, write_lineage
from altclip.models import HEADS
from altclip.processing.building import CONFIG_NAME

FAMILIES: Final = ("altclip", "clip", "chinese-clip")
_METHODS: Final = {
    kind: {"method": f"get_{kind}_features", "method_output_name": "pooler_output"} for kind in ("text", "image")
}
# processor_kwargs: images are prepared with Pillow, as here, also where torchvision is installed, which blurs otherwise
_FILES: Final[dict[str, Any]] = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"},
        {
            "idx": 1,
            "name": "1",
            "path": "1_Normalize",
            "type": "sentence_transformers.base.modules.normalize.Normalize",
        },
    ],
    "sentence_bert_config.json": {
        "transformer_task": "feature-extraction",
        "modality_config": _METHODS,
        "module_output_name": "sentence_embedding",
        "processor_kwargs": {"backend": "pil"},
    },
    "config_sentence_transformers.json": {
        "model_type": "SentenceTransformer",
        "prompts": {"document": "", "query": ""},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
    },
    "1_Normalize/config.json": {
        "module_input_name": "sentence_embedding",
        "module_output_name": "sentence_embedding",
    },
}
_ABOUT: Final = """\
For sentence-transformers 5.4 or newer with transformers 5.

```python
from PIL import Image
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("THIS_FOLDER")
model.similarity(model.encode([Image.open("photo.jpg")]), model.encode(["a cat", "一只猫"]))
```"""


def to_sentence_transformers(encoder: Encoder, output: str | Path, *, overwrite: bool = False) -> Converted:
    """Write a folder for sentence-transformers, in the number format that the model was opened in.

    Raises:
        LayoutError: the model is of a family that transformers has no model class for.
        UsageError, CheckpointError: see `to_huggingface`; UsageError too if the model lacks a tower.
    """
    place = check_target(output, overwrite=overwrite, sources=folders_of(encoder))
    check_both(encoder)
    _check_family(encoder)
    lineage, precision = lineage_of(encoder), name_of(encoder)
    with whole_folder(place) as folder:
        encoder.save(folder)
        _limit_texts(folder, longest_text(encoder))
        for name, content in _FILES.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        write_lineage(
            lineage, folder, title="for sentence-transformers", library="sentence-transformers", about=_ABOUT,
            facts=facts(encoder, "sentence-transformers", precision),
        )  # fmt: skip
    return Converted(place, "sentence-transformers", precision, notes=crop_notes(encoder))


def _check_family(encoder: Encoder) -> None:
    heads = dict(encoder.model.config.heads)
    if all(heads != HEADS[family] for family in FAMILIES):
        raise LayoutError(
            f"sentence-transformers opens models of {', '.join(FAMILIES)}, and {encoder.name} reads its texts in "
            "another way, for which transformers has no class: take the form onnx or torch-export"
        )


def _limit_texts(folder: Path, longest: int) -> None:
    """Let the tokenizer cut texts where the model ends; some released tokenizers name a higher limit, or none."""
    path = folder / CONFIG_NAME
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(
        json.dumps({**config, "model_max_length": longest}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
