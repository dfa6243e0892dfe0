"""ONNX files written, quantised and run: the one file that imports onnx, onnxscript and onnxruntime.

Files are made by torch.onnx's exporter of programs (`dynamo=True`). It needs no TorchScript, which is on its way out of
torch, keeps the names of the weights, and takes the same program that the form `torch-export` stores.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from altclip.engines.base import Features
from altclip.errors import MissingExtraError
from altclip.models.graphs import Graph, traced
from altclip.silence import silenced

Feed: TypeAlias = dict[str, NDArray[np.generic]]
Run: TypeAlias = Callable[[Feed], Features]

OPSET: Final = 18  # known to every runtime of the last three years
EXTERNAL_OVER: Final = 2 * 10**9  # bytes; a protobuf file may have 2**31
_QUANTISED: Final = ("MatMul", "Gemm", "Gather")  # the convolution of the patches stays: it is small, and comes first
_LIBRARIES: Final = ("onnx", "onnxscript", "onnxruntime")


def check_installed() -> None:
    """Raise MissingExtraError unless all of the extra `onnx` is here."""
    for library in _LIBRARIES:
        _library(library)


def is_installed() -> bool:
    """Whether all of it is here; nothing is imported for this."""
    return all(importlib.util.find_spec(library) for library in _LIBRARIES)


def versions() -> list[str]:
    """Of what a graph is made by and run in."""
    return [f"{library} {_library(library).__version__}" for library in _LIBRARIES]


def write_onnx(graph: Graph, path: Path, *, precision: str = "fp32", external_over: int = EXTERNAL_OVER) -> None:
    """Write a graph as an ONNX file, and the weights to a file `<name>.data` beside it if they are large.

    precision: "fp32", "fp16" (weights and arithmetic), "int8" (weights; activations are quantised as they come).
    """
    if precision == "int8":
        _write_int8(graph, path, external_over)
        return
    wanted = graph.half() if precision == "fp16" else graph
    _exported(wanted).save(path, external_data=wanted.weight_bytes > external_over)


def without_weights(graph: Graph) -> bytes:
    """The ONNX file of a graph that only names its weights: small at every size of model, and the same for all weights.

    It is not simplified, for that would work some weights into constants; onnxruntime does so itself when it loads.
    """
    program, ir = _exported(graph, optimize=False), _library("onnx_ir")  # onnxscript brings it
    weights = graph.module.state_dict()
    for name, value in program.model.graph.initializers.items():
        if name in weights:
            held = value.const_value
            value.const_value = ir.ExternalTensor("weights", 0, held.nbytes, held.dtype, shape=held.shape, name=name)
    file = ir.to_proto(program.model)
    for node in file.graph.node:
        del node.metadata_props[:]  # where in the sources it comes from: nine tenths of the file
    content: bytes = file.SerializeToString()
    return content


def _exported(graph: Graph, *, optimize: bool = True) -> Any:
    first, *others = graph.inputs  # the axes are named once; the other inputs share them
    with _quiet():
        return torch.onnx.export(
            traced(graph),
            input_names=[first, *others],
            output_names=[graph.output],
            dynamic_shapes=(dict(graph.axes.get(first, {})), *(None for _ in others)) if graph.axes else None,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
            optimize=optimize,
        )


def runner(path: Path) -> Run:
    """A function that runs the file in onnxruntime, on the CPU."""
    return _session(path, _options())


def runner_with(content: bytes, weights: Mapping[str, torch.Tensor], threads: int) -> Run:
    """The same for a file in memory `without_weights`, with these weights by name; onnxruntime copies them."""
    value = _library("onnxruntime").OrtValue.ortvalue_from_numpy
    stored = _library("onnx").load_model_from_string(content).graph.initializer
    named = [tensor.name for tensor in stored if tensor.data_location == tensor.EXTERNAL]
    options = _options()
    options.intra_op_num_threads = threads
    options.add_external_initializers(named, [value(weights[name].detach().numpy()) for name in named])
    return _session(content, options)


def _options() -> Any:
    options = _library("onnxruntime").SessionOptions()
    options.log_severity_level = 3
    return options


def _session(model: Path | bytes, options: Any) -> Run:
    session = _library("onnxruntime").InferenceSession(model, options, providers=["CPUExecutionProvider"])

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
    with silenced(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
