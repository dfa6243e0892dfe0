"""The forms `immich` and `immich-mclip`: the folder that the machine-learning service of Immich reads.

The service knows its models by name, and feeds those of its table in one of two ways (read in its source, 2026-09):

- OpenCLIP names: one int32 input `text` (1, context_length), filled up with the id of `pad_token`, and no mask;
- M-CLIP names: int32 `input_ids` and `attention_mask` of that shape.

Both get one float32 image (1, 3, size, size), prepared with Pillow by `preprocess_cfg.json`. docs/immich.md says which
name's folder to put it in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from altclip.encoder import Encoder
from altclip.engines.onnx_library import EXTERNAL_OVER, OPSET, check_installed, runner, write_onnx
from altclip.errors import LayoutError, UsageError
from altclip.export.folders import check_target, whole_folder
from altclip.export.forms import Converted, check_both, check_exact, check_precision, crop_notes, facts, longest_text
from altclip.export.lineage import folders_of, lineage_of, write_lineage
from altclip.export.onnx_folder import PRECISIONS
from altclip.export.samples import (
    Agreement,
    Feed,
    Tokens,
    check,
    image_batches,
    images_agree,
    padded_texts,
    texts_agree,
)
from altclip.models.graphs import Graph, single_image_graph, single_masked_text_graph, single_text_graph
from altclip.processing import ImageProcessor
from altclip.processing.building import MAP_NAME

FORMS: Final = ("immich", "immich-mclip")
CONTEXT: Final = 77  # tokens; searches are short, and the service computes all of them for each
OUTPUT: Final = "embeddings"
# For each length of an embedding a name of its table: `CLIP_MODEL_INFO` of its server.
NAMES: Final = {
    "immich": {
        512: "ViT-B-32__openai",
        640: "ViT-B-16-plus-240__laion400m_e32",
        768: "ViT-L-14__openai",
        1024: "ViT-H-14__laion2b-s32b-b79k",
    },
    "immich-mclip": {
        512: "XLM-Roberta-Large-Vit-B-32",
        640: "XLM-Roberta-Large-Vit-B-16Plus",
        768: "XLM-Roberta-Large-Vit-L-14",
    },
}
_ABOUT: Final = """\
For the machine-learning service of Immich. Put the content of this folder into `clip/NAME` of its model cache, where
NAME is one that its table knows with embeddings of this length, choose that name in the settings for smart search, and
run the job "Smart Search" for all assets. docs/immich.md of altclip tells each step, and what is unchecked."""


def to_immich(
    encoder: Encoder,
    output: str | Path,
    *,
    form: str = "immich",
    precision: str = "fp32",
    context_length: int | None = None,
    overwrite: bool = False,
    external_over: int = EXTERNAL_OVER,
) -> Converted:
    """Write the folder that Immich's service reads, checked in onnxruntime as it feeds it.

    Args:
        encoder: in float32 on the CPU.
        output: a folder that is absent or empty; with `overwrite`, one that is replaced.
        form: "immich" for names of its OpenCLIP table, "immich-mclip" for those of M-CLIP.
        precision, external_over: as in `to_onnx`.
        context_length: tokens of a text; None is 77, or the model's limit if that is lower.

    Raises:
        MissingExtraError, UsageError, CheckpointError: see `to_onnx`.
        LayoutError: the texts cannot be read out, there is no pad token, or images are prepared in a way that the
            service has no words for.
    """
    check_precision(precision, PRECISIONS, form)
    if form not in FORMS:
        raise UsageError(f"form '{form}' is not known: expected one of {', '.join(FORMS)}")
    check_installed()
    check_exact(encoder)
    check_both(encoder)
    length, preprocessing = _context(encoder, context_length), _preprocessing(encoder)
    place = check_target(output, overwrite=overwrite, sources=folders_of(encoder))
    lineage = lineage_of(encoder)
    graph, feed = _text(encoder, form, length)
    with whole_folder(place) as folder:
        _write_settings(encoder, folder, length, preprocessing)
        graphs = {"visual": single_image_graph(encoder.model, "image", OUTPUT), "textual": graph}
        for name, of in graphs.items():
            write_onnx(of, folder / name / "model.onnx", precision=precision, external_over=external_over)
        checks = _checks(encoder, folder, length, feed)
        for name, agreement in checks.items():
            check(f"{name} encoder", agreement, exact=precision == "fp32")
        write_lineage(
            lineage, folder, title="for Immich", library="immich", about=_ABOUT,
            facts=facts(encoder, form, precision, checks, opset=OPSET, immich_name=NAMES[form].get(encoder.dim)),
        )  # fmt: skip
    return Converted(place, form, precision, checks, (_advice(form, encoder.dim), *crop_notes(encoder)))


def _text(encoder: Encoder, form: str, length: int) -> tuple[Graph, Callable[[Tokens], Feed]]:
    """The text graph of a form, and what it is fed with."""
    if form == "immich-mclip":
        return single_masked_text_graph(encoder.model, length, OUTPUT), _masked
    return single_text_graph(encoder.model, length, _pad(encoder), OUTPUT), _unmasked


def _masked(tokens: Tokens) -> Feed:
    return {"input_ids": tokens.ids.astype(np.int32), "attention_mask": tokens.mask.astype(np.int32)}


def _unmasked(tokens: Tokens) -> Feed:
    return {"text": tokens.ids.astype(np.int32)}


def _checks(encoder: Encoder, folder: Path, length: int, feed: Callable[[Tokens], Feed]) -> dict[str, Agreement]:
    image, text = (runner(folder / name / "model.onnx") for name in ("visual", "textual"))
    return {
        "image": images_agree(encoder, image, "image", image_batches(encoder, [1] * 6)),
        "text": texts_agree(encoder, text, feed, padded_texts(encoder, length)),
    }


def _write_settings(encoder: Encoder, folder: Path, length: int, preprocessing: dict[str, Any]) -> None:
    """The small files: `config.json`, the tokenizer's, `preprocess_cfg.json`."""
    for name in ("textual", "visual"):
        (folder / name).mkdir()
    if encoder.tokenizer is not None:
        encoder.tokenizer.save(folder / "textual")
        (folder / "textual" / MAP_NAME).unlink(missing_ok=True)
    side = preprocessing["size"][0]
    config = {
        "embed_dim": encoder.dim,
        "vision_cfg": {"image_size": side},
        "text_cfg": {"context_length": length},
    }
    for name, content in (("config.json", config), ("visual/preprocess_cfg.json", preprocessing)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _context(encoder: Encoder, wanted: int | None) -> int:
    longest = longest_text(encoder)
    length = min(CONTEXT, longest) if wanted is None else wanted
    if not 2 < length <= longest:
        raise UsageError(f"context_length={length}: expected 3 to {longest}, the longest text that the model takes")
    return length


def _pad(encoder: Encoder) -> int:
    pad = encoder.tokenizer.pad_token_id if encoder.tokenizer else None
    if pad is None:
        raise LayoutError(
            f"the tokenizer of {encoder.name} has no pad token, and Immich's service fills texts up with it"
        )
    return pad


def _preprocessing(encoder: Encoder) -> dict[str, Any]:
    """`preprocess_cfg.json`. Raises LayoutError for what the service cannot do."""
    processor = encoder.image_processor or ImageProcessor()
    side = encoder.model.config.vision.image_size if encoder.model.config.vision else 0
    square = {"height": side, "width": side}
    uncropped = not processor.do_center_crop or dict(processor.crop_size) == square
    squash = dict(processor.size) == square and uncropped
    shortest = (
        dict(processor.size) == {"shortest_edge": side}
        and processor.do_center_crop
        and dict(processor.crop_size) == square
    )
    scaled = processor.do_rescale and abs(processor.rescale_factor * 255 - 1) < 1e-6
    if not (processor.do_resize and scaled and (squash or shortest)):
        raise LayoutError(
            f"Immich's service cannot prepare images as {encoder.name} wants them ({asdict(processor)}): it resizes to "
            f"{side} pixels, crops or squashes to a square, and divides by 255"
        )
    normalised = processor.do_normalize
    return {
        "size": [side, side],
        "mode": "RGB",
        "mean": list(processor.image_mean) if normalised else [0.0, 0.0, 0.0],
        "std": list(processor.image_std) if normalised else [1.0, 1.0, 1.0],
        "interpolation": Image.Resampling(processor.resample).name.lower(),
        "resize_mode": "squash" if squash else "shortest",
    }


def _advice(form: str, dim: int) -> str:
    name = NAMES[form].get(dim)
    if name is None:
        known = ", ".join(map(str, NAMES[form]))
        return (
            f"no name in Immich's table has embeddings of {dim} numbers ({known}): Immich cannot be set to this model"
        )
    return (
        f"embeddings of {dim} numbers fit the name {name}: put the folder's content into clip/{name} of the model cache"
    )
