"""The form `onnx`: the image and the text encoder as ONNX files, checked in onnxruntime before the folder appears."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from altclip.encoder import Encoder
from altclip.engines.onnx_library import EXTERNAL_OVER, OPSET, check_installed, runner, write_onnx
from altclip.export.forms import Converted, check_precision
from altclip.export.samples import Run
from altclip.export.towers import Form, write_towers
from altclip.models.graphs import Graph

PRECISIONS: Final = ("fp32", "fp16", "int8")
_FORM: Final = Form(
    "onnx",
    ".onnx",
    "onnx",
    """\
- `image.onnx`: `pixel_values` float32 (batch, 3, side, side), prepared as `preprocessor_config.json` says.
- `text.onnx`: `input_ids` and `attention_mask` int64 (batch, length), by `tokenizer.json`, padded on the right.

Both give `embeddings` float32 (batch, dim) of length 1: their products are cosines. `exp(logit_scale)` times these are
the logits of the model; the number is in `report.json`, with what the files were checked to give.""",
)


def to_onnx(
    encoder: Encoder,
    output: str | Path,
    *,
    precision: str = "fp32",
    overwrite: bool = False,
    external_over: int = EXTERNAL_OVER,
) -> Converted:
    """Write `image.onnx` and `text.onnx` with the tokenizer and the image settings.

    Args:
        encoder: in float32 on the CPU.
        output: a folder that is absent or empty; with `overwrite`, one that is replaced.
        precision: "fp32" gives the encoder's embeddings to 1e-4; "fp16" and "int8" are measured against them.
        external_over: bytes of weights from which on they are written to a file beside the graph.

    Raises:
        MissingExtraError: the extra `onnx` is not installed.
        UsageError: the model lacks a tower, or an argument is wrong. LayoutError: its texts cannot be read out.
        CheckpointError: the files cannot be written, or do not give the right embeddings; nothing is left.
    """

    def write(graph: Graph, path: Path) -> Run:
        write_onnx(graph, path, precision=precision, external_over=external_over)
        return runner(path)

    check_precision(precision, PRECISIONS, "onnx")
    check_installed()
    return write_towers(encoder, output, _FORM, write, precision=precision, overwrite=overwrite, opset=OPSET)
