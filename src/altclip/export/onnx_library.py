"""ONNX files written, quantised and run: the one file that imports onnx, onnxscript and onnxruntime.

Files are made by torch.onnx's exporter of programs (`dynamo=True`). It needs no TorchScript, which is on its way out of
torch, keeps the names of the weights, and takes the same program that the form `torch-export` stores.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch

from altclip.errors import MissingExtraError
from altclip.export.samples import Feed, Run
from altclip.models.graphs import Graph, traced

OPSET: Final = 18  # known to every runtime of the last three years
EXTERNAL_OVER: Final = 2 * 10**9  # bytes; a protobuf file may have 2**31
_QUANTISED: Final = ("MatMul", "Gemm", "Gather")  # the convolution of the patches stays: it is small, and comes first


def check_installed() -> None:
    """Raise MissingExtraError unless all of the extra `onnx` is here."""
    for library in ("onnx", "onnxscript", "onnxruntime"):
        _library(library)


def write_onnx(graph: Graph, path: Path, *, precision: str = "fp32", external_over: int = EXTERNAL_OVER) -> None:
    """Write a graph as an ONNX file, and the weights to a file `<name>.data` beside it if they are large.

    precision: "fp32", "fp16" (weights and arithmetic), "int8" (weights; activations are quantised as they come).
    """
    if precision == "int8":
        _write_int8(graph, path, external_over)
        return
    wanted = graph.half() if precision == "fp16" else graph
    first, *others = wanted.inputs  # the axes are named once; the other inputs share them
    with _quiet():
        program = torch.onnx.export(
            traced(wanted),
            input_names=[first, *others],
            output_names=[wanted.output],
            dynamic_shapes=(dict(wanted.axes.get(first, {})), *(None for _ in others)) if wanted.axes else None,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is not None:
        program.save(path, external_data=wanted.weight_bytes > external_over)


def runner(path: Path) -> Run:
    """A function that runs the file in onnxruntime, on the CPU."""
    runtime = _library("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(feed: Feed) -> Any:
        return session.run(None, feed)[0]

    return run


def _write_int8(graph: Graph, path: Path, external_over: int) -> None:
    quantization = _library("onnxruntime.quantization")
    with TemporaryDirectory(dir=path.parent, prefix=".fp32-") as folder:
        write_onnx(graph, whole := Path(folder) / path.name, external_over=external_over)
        _forget_shapes(whole)
        with _quiet():
            quantization.quantize_dynamic(
                whole,
                path,
                op_types_to_quantize=list(_QUANTISED),
                per_channel=True,
                reduce_range=True,  # 7 bits: with 8, processors without VNNI overflow
                use_external_data_format=graph.weight_bytes > external_over,
            )


def _forget_shapes(path: Path) -> None:
    """Remove the shapes written beside a graph: quantisation transposes weights, and would find theirs wrong."""
    onnx = _library("onnx")
    model = onnx.load(path, load_external_data=False)
    del model.graph.value_info[:]
    onnx.save(model, path)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(name.partition(".")[0], "onnx") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks of these libraries, which are for those who work on them."""
    before, silent = logging.root.manager.disable, logging.NullHandler()
    logging.root.addHandler(silent)  # without one, a remark on the root logger would set logging up for the program
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        logging.root.removeHandler(silent)
