"""Both encoders exported side by side with what prepares their inputs: the frame of `onnx` and `torch-export`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from altclip.encoder import Encoder
from altclip.export.folders import check_target, whole_folder
from altclip.export.forms import Converted, check_both, check_exact, facts, longest_text
from altclip.export.lineage import folders_of, lineage_of, write_lineage
from altclip.export.samples import Feed, Run, Tokens, check, image_batches, images_agree, text_batches, texts_agree
from altclip.models.graphs import Graph, image_graph, text_graph

Write: TypeAlias = Callable[[Graph, Path], Run]  # writes a file, and gives what runs it as it was written


@dataclass(frozen=True)
class Form:
    """A form of two files. suffix: of their names; library, about: for the card."""

    name: str
    suffix: str
    library: str
    about: str


def write_towers(
    encoder: Encoder, output: str | Path, form: Form, write: Write, *, precision: str, overwrite: bool, **more: Any
) -> Converted:
    """Write `image` and `text` with tokenizer and image settings, check them, and give the folder its name.

    more: further facts for report.json. Raises as `to_onnx` says.
    """
    check_exact(encoder)
    check_both(encoder)
    place = check_target(output, overwrite=overwrite, sources=folders_of(encoder))
    lineage, longest = lineage_of(encoder), longest_text(encoder)
    with whole_folder(place) as folder:
        save_processing(encoder, folder)
        image = write(image_graph(encoder.model), folder / f"image{form.suffix}")
        text = write(text_graph(encoder.model, longest), folder / f"text{form.suffix}")
        checks = {
            "image": images_agree(encoder, image, "pixel_values", image_batches(encoder)),
            "text": texts_agree(encoder, text, _feed, text_batches(encoder, longest)),
        }
        for name, agreement in checks.items():
            check(f"{name} encoder", agreement, exact=precision == "fp32")
        write_lineage(
            lineage, folder, title=f"{form.name}, {precision}", library=form.library, about=form.about,
            facts=facts(encoder, form.name, precision, checks, longest_text=longest, **more),
        )  # fmt: skip
    return Converted(place, form.name, precision, checks)


def save_processing(encoder: Encoder, folder: Path) -> None:
    """Write the tokenizer's files and the image settings."""
    for part in (encoder.image_processor, encoder.tokenizer):
        if part is not None:
            part.save(folder)


def _feed(tokens: Tokens) -> Feed:
    return {"input_ids": tokens.ids, "attention_mask": tokens.mask}
