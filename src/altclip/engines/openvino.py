"""The engine `openvino`: graphs compiled for this CPU, in float32, or bfloat16 where the CPU has it.

The one file that imports openvino (extra `openvino`). A graph is compiled when it is first needed and kept on disk.
"""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from altclip.data.cache import digest_weights
from altclip.engines.base import Features, Ids, Inputs, Pixels, Side
from altclip.engines.kept import kept
from altclip.errors import MissingExtraError
from altclip.models import DualEncoder
from altclip.models.graphs import Graph, image_graph, text_graph, traced


def library() -> Any:
    """The library, without its telemetry: that would tell Google Analytics of every import and conversion.

    Where the package `openvino_telemetry` cannot be imported, openvino takes a stub that sends nothing. One that the
    program has imported before us is left alone. Raises MissingExtraError without openvino.
    """
    silenced = "openvino" not in sys.modules and "openvino_telemetry" not in sys.modules
    if silenced:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # Python's way to forbid an import
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise MissingExtraError("openvino", "openvino") from error
    finally:
        if silenced:
            del sys.modules["openvino_telemetry"]


def is_installed() -> bool:
    """Whether the library is here; it is not imported for this."""
    return importlib.util.find_spec("openvino") is not None


def has_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16."""
    return "BF16" in library().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVINOEngine:
    """Runs a DualEncoder's graphs. Its weights are copied when a graph is compiled: later changes do not count.

    precision: "exact" (float32), "fast" (bfloat16 where the CPU has it).
    head: through which texts are read. cache: the folder of compiled graphs; None keeps none.
    """

    name: Final = "openvino"

    def __init__(
        self,
        model: DualEncoder,
        *,
        precision: str = "fast",
        head: str = "retrieval",
        cache: Path | None = None,
    ) -> None:
        library()
        self.model, self.precision, self.head = model.eval(), precision, head
        self.cache = cache
        self._compiling = threading.Lock()
        self._graphs: dict[Side, Compiled] = {}

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @cached_property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.precision == "fast" and has_bfloat16() else torch.float32

    def encode_image(self, pixels_BCSS: Pixels) -> Features:
        return self._graph("image")([pixels_BCSS])

    def encode_text(self, ids_BL: Ids, mask_BL: Ids) -> Features:
        return self._graph("text")([ids_BL, mask_BL])

    def _graph(self, side: Side) -> Compiled:
        """Compiled at the first call; of threads that come together, one compiles and the others wait."""
        with self._compiling:
            if side not in self._graphs:
                graph = image_graph(self.model) if side == "image" else text_graph(self.model, self._longest, self.head)
                told = (side, self.head, json.dumps(self.model.config.to_dict(), sort_keys=True))
                self._graphs[side] = Compiled(graph, self.dtype, told, self.cache)
            return self._graphs[side]

    @property
    def _longest(self) -> int:
        return self.model.config.text.max_length if self.model.config.text else 0


class Compiled:
    """One graph, compiled; calls from several threads may overlap, each thread has a request of its own.

    told: what the graph was made from besides its weights.
    """

    def __init__(self, graph: Graph, dtype: torch.dtype, told: Sequence[str], cache: Path | None) -> None:
        ov = library()
        core = ov.Core()
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if dtype is torch.bfloat16 else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",  # one request at a time on all threads: batches come one after another
        }

        def compile_anew() -> bytes:
            converted = ov.convert_model(traced(graph))
            file = io.BytesIO()
            core.compile_model(converted, "CPU", options).export_model(file)
            return file.getvalue()

        facts = [
            ov.__version__,
            core.get_property("CPU", "FULL_DEVICE_NAME"),
            str(sorted(options.items())),
            *told,
            digest_weights(graph.module.state_dict().items()),
        ]
        content = kept(cache, facts, compile_anew)
        self._model = core.import_model(io.BytesIO(content), "CPU", options)
        self._own = threading.local()

    def __call__(self, inputs: Inputs) -> Features:
        if not hasattr(self._own, "request"):
            self._own.request = self._model.create_infer_request()
        result = self._own.request.infer([np.ascontiguousarray(array) for array in inputs])
        features: Features = np.array(next(iter(result.values())), np.float32)  # a copy: the next call writes over it
        return features
