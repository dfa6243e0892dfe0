"""What altclip is measured beside: transformers as people run it and by hand in OpenVINO, FlagAI's way of texts, and
sentence-transformers. All take the same folder, threads and inputs; peers() gives the first to `altclip bench`.

    altclip bench random:altclip --peers benchmarks/encode_peers.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

BATCH = 32  # texts
FLAGAI_TOKENS = 77


class Transformers:
    """AltCLIPModel in float32: images in one batch, texts in batches of 32 padded to the longest, in their order.

    It is an engine for `altclip bench` too.
    """

    name = "transformers float32"

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel

        self.folder = folder
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.device, self.dtype = torch.device("cpu"), torch.float32

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder)

    @cached_property
    def limit(self) -> int:
        """Tokens of the longest text: XLM-R counts its positions from the padding's id on."""
        config = self.model.config.text_config
        return min(self.tokenizer.model_max_length, config.max_position_embeddings - config.pad_token_id - 1)

    @torch.inference_mode()
    def encode_image(self, pixels: np.ndarray) -> np.ndarray:
        return array(self.model.get_image_features(pixel_values=torch.from_numpy(pixels)))

    @torch.inference_mode()
    def encode_text(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        given = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        return array(self.model.get_text_features(**given))

    def texts(self, texts: Sequence[str], pad_to: int | None = None) -> np.ndarray:
        """pad_to: tokens; None for the longest of each batch."""
        rows = []
        for start in range(0, len(texts), BATCH):
            made = self.tokenizer(
                list(texts[start : start + BATCH]),
                padding="max_length" if pad_to else True,
                truncation=True,
                max_length=min(pad_to or self.limit, self.limit),
                return_tensors="np",
            )
            rows.append(self.encode_text(made["input_ids"].astype(np.int64), made["attention_mask"].astype(np.int64)))
        return np.concatenate(rows)

    def flagai(self, texts: Sequence[str]) -> np.ndarray:
        """As FlagAI's loader does it: every text padded to 77 tokens."""
        return self.texts(texts, FLAGAI_TOKENS)


class ByHand:
    """transformers' image tower through `openvino.convert_model`, in bfloat16 where the processor has it."""

    def __init__(self, folder: Path, threads: int, example: np.ndarray) -> None:
        from altclip.device import cpu_has_bfloat16
        from altclip.engines import openvino

        ov = openvino.library()
        self.hint = "bf16" if cpu_has_bfloat16() else "f32"
        converted = ov.convert_model(Images(Transformers(folder).model), example_input=torch.from_numpy(example))
        options = {"INFERENCE_PRECISION_HINT": self.hint, "INFERENCE_NUM_THREADS": threads}
        self.request = ov.Core().compile_model(converted, "CPU", options).create_infer_request()

    def encode_image(self, pixels: np.ndarray) -> np.ndarray:
        return np.array(next(iter(self.request.infer([pixels]).values())))


class Images(torch.nn.Module):
    """The image tower with its projection, as one module."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.vision, self.projection = model.vision_model, model.visual_projection

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.projection(self.vision(pixel_values=pixel_values).pooler_output)


class SentenceTransformers:
    """`SentenceTransformer.encode` with its own defaults: batches of 32, sorted by length."""

    def __init__(self, folder: Path) -> None:
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(folder), device="cpu")

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.asarray(self.model.encode(list(texts), show_progress_bar=False))


def peers(folder: Path) -> Mapping[str, Any]:
    """Engines for `altclip bench --peers`, by name."""
    made = Transformers(folder)
    return {made.name: made}


def product(threads: int, hint: str, rows: int, width: int) -> tuple[Any, float]:
    """A matrix product in OpenVINO, as large as a layer's, and its GFLOP: what this machine's own GEMM reaches."""
    from altclip.engines import openvino

    ov = openvino.library()
    layer = torch.nn.Linear(width, 4 * width, bias=False)
    converted = ov.convert_model(layer, example_input=torch.zeros(rows, width))
    options = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads}
    request = ov.Core().compile_model(converted, "CPU", options).create_infer_request()
    given = np.random.default_rng(0).standard_normal((rows, width), np.float32)
    return (lambda: request.infer([given], share_inputs=True, share_outputs=True)), 2 * rows * width * 4 * width / 1e9


def array(features: Any) -> np.ndarray:
    """transformers 5 gives an object, 4 a tensor."""
    return getattr(features, "pooler_output", features).float().numpy()
