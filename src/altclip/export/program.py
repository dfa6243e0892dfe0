"""The form `torch-export`: both encoders as programs of torch.export (.pt2), which run without a line of altclip."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

from altclip.encoder import Encoder
from altclip.engines import Features
from altclip.errors import CheckpointError
from altclip.export.forms import Converted, check_precision
from altclip.export.samples import Feed, Run
from altclip.export.towers import Form, write_towers
from altclip.models.graphs import Graph, traced

PRECISIONS: Final = ("fp32", "fp16")
_FORM: Final = Form(
    "torch-export",
    ".pt2",
    "pytorch",
    """\
Programs of torch.export, no TorchScript:

```python
import torch

image = torch.export.load("THIS_FOLDER/image.pt2").module()  # pixel_values float32 (batch, 3, side, side)
text = torch.export.load("THIS_FOLDER/text.pt2").module()    # input_ids, attention_mask int64 (batch, length)
```

Both give embeddings float32 (batch, dim) of length 1. Images are prepared as `preprocessor_config.json` says, texts by
`tokenizer.json`. `exp(logit_scale)` times the cosines are the logits of the model; the number is in `report.json`.""",
)


def to_torch_export(
    encoder: Encoder, output: str | Path, *, precision: str = "fp32", overwrite: bool = False
) -> Converted:
    """Write `image.pt2` and `text.pt2` with tokenizer and image settings; they are loaded again to be checked.

    Raises:
        UsageError, LayoutError, CheckpointError: see `to_onnx`.
    """

    def write(graph: Graph, path: Path) -> Run:
        _save(graph.half() if precision == "fp16" else graph, path)
        return _runner(path)

    check_precision(precision, PRECISIONS, "torch-export")
    return write_towers(encoder, output, _FORM, write, precision=precision, overwrite=overwrite)


def _save(graph: Graph, path: Path) -> None:
    program = traced(graph)
    try:
        torch.export.save(program, path)
    except RuntimeError as error:  # torch's own word for a full disk
        raise CheckpointError(f"{path.name} cannot be written ({error}): make room or give another folder") from error


def _runner(path: Path) -> Run:
    module = torch.export.load(path).module()

    def run(feed: Feed) -> Features:
        with torch.inference_mode():
            features: Features = module(*map(torch.from_numpy, feed.values())).numpy()
        return features

    return run
