"""What this machine computes at best: products of matrices, by torch and by the engine for CPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from altclip.bench.measures import Row, row_of
from altclip.bench.timing import timed
from altclip.device import cpu_has_bfloat16
from altclip.engines import openvino

MATRIX: Final = 2048  # rows and columns
WHAT: Final = "matrix products"


def matrix_products(runs: int) -> list[Row]:
    """Square matrices, in GFLOP/s: in every number format that torch has, and that openvino computes in here."""
    work: dict[str, Callable[[], object]] = {
        f"torch {name}": _in_torch(dtype) for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
    }
    if openvino.is_installed():
        work["openvino float32"] = _in_openvino("f32")
        if cpu_has_bfloat16():
            work["openvino bfloat16"] = _in_openvino("bf16")
    return [row_of(WHAT, name, 2 * MATRIX**3 / 1e9, of) for name, of in timed(work, runs).items()]


def _in_torch(dtype: torch.dtype) -> Callable[[], object]:
    matrix = torch.randn(MATRIX, MATRIX).to(dtype)
    return lambda: matrix @ matrix


def _in_openvino(hint: str) -> Callable[[], object]:
    ov: Any = openvino.library()
    layer = torch.nn.Linear(MATRIX, MATRIX, bias=False)
    graph = ov.convert_model(layer, example_input=torch.zeros(MATRIX, MATRIX))
    options = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    request = ov.Core().compile_model(graph, "CPU", options).create_infer_request()
    given = np.random.default_rng(0).standard_normal((MATRIX, MATRIX), np.float32)
    return lambda: request.infer([given])
