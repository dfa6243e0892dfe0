"""One door to all forms: a model by its name, and the form by its."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from altclip.encoder import Encoder
from altclip.engines.onnx_library import check_installed
from altclip.errors import UsageError
from altclip.export.folders import check_target
from altclip.export.forms import Converted, check_precision
from altclip.export.huggingface import to_huggingface
from altclip.export.immich import FORMS as IMMICH_FORMS
from altclip.export.immich import to_immich
from altclip.export.onnx_folder import PRECISIONS as ONNX_PRECISIONS
from altclip.export.onnx_folder import to_onnx
from altclip.export.program import PRECISIONS as PROGRAM_PRECISIONS
from altclip.export.program import to_torch_export
from altclip.export.sentence import to_sentence_transformers

FORMS: Final = {
    "hf": ("fp32", "fp16"),
    "sentence-transformers": ("fp32", "fp16"),
    "onnx": ONNX_PRECISIONS,
    **dict.fromkeys(IMMICH_FORMS, ONNX_PRECISIONS),
    "torch-export": PROGRAM_PRECISIONS,
}
"""Each form with the precisions it comes in."""

_STORED: Final = {"fp32": "float32", "fp16": "float16"}  # of forms that keep the weights as they are opened
_NEED_ONNX: Final = ("onnx", *IMMICH_FORMS)


def convert(
    model: str | Path,
    output: str | Path,
    *,
    to: str = "hf",
    precision: str = "fp32",
    image_weights: str | Path | None = None,
    overwrite: bool = False,
) -> Converted:
    """Write a model in another form; the folder appears when it is whole and, where it computes, checked.

    Args:
        model: a folder, a preset or a hub id, as for `Encoder`.
        output: a folder that is absent or empty; with `overwrite`, one that is replaced with all in it.
        to: "hf", "sentence-transformers", "onnx", "immich", "immich-mclip" or "torch-export".
        precision: "fp32", "fp16" or "int8", as `FORMS` has them.
        image_weights: where the image tower comes from, for models that ship the text encoder alone.

    Raises:
        UsageError: an argument is wrong, or the model lacks what the form needs.
        MissingExtraError: a library of the form is not installed.
        CheckpointError: of any kind; nothing is left in `output` then.
    """
    if to not in FORMS:
        raise UsageError(f"form '{to}' is not known: expected one of {', '.join(FORMS)}")
    check_precision(precision, FORMS[to], to)
    if to in _NEED_ONNX:
        check_installed()
    check_target(output, overwrite=overwrite)
    stored = to in ("hf", "sentence-transformers")
    encoder = Encoder(
        model,
        image_weights=image_weights,
        device="cpu",
        engine="torch",
        dtype=_STORED[precision] if stored else "float32",
    )
    if to == "hf":
        return to_huggingface(encoder, output, overwrite=overwrite)
    if to == "sentence-transformers":
        return to_sentence_transformers(encoder, output, overwrite=overwrite)
    if to == "onnx":
        return to_onnx(encoder, output, precision=precision, overwrite=overwrite)
    if to == "torch-export":
        return to_torch_export(encoder, output, precision=precision, overwrite=overwrite)
    return to_immich(encoder, output, form=to, precision=precision, overwrite=overwrite)
