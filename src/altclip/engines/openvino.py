"""The engine `openvino`: graphs compiled for this CPU, in float32, bfloat16 where the CPU has it, or int8.

The one file that imports openvino (extra `openvino`). A graph is compiled when it is first needed and kept on disk.
"""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from altclip import __version__
from altclip.data.cache import digest_weights
from altclip.device import cpu_has_bfloat16
from altclip.engines.base import Features, Ids, Inputs, Pixels, Side
from altclip.engines.kept import kept
from altclip.engines.quantising import Samples, quantised, with_small_weights
from altclip.engines.telemetry import without_telemetry
from altclip.errors import MissingExtraError, UsageError
from altclip.models import DualEncoder
from altclip.models.graphs import Graph, image_graph, text_graph, traced


def library() -> Any:
    """The library, without its telemetry. Raises MissingExtraError if it is not installed."""
    with nullcontext() if "openvino" in sys.modules else without_telemetry():
        try:
            return importlib.import_module("openvino")
        except ImportError as error:
            raise MissingExtraError("openvino", "openvino") from error


def is_installed() -> bool:
    """Whether the library is here; it is not imported for this."""
    return importlib.util.find_spec("openvino") is not None


class OpenVINOEngine:
    """Runs a DualEncoder's graphs. Its weights are copied when a graph is compiled: later changes do not count.

    precision: "exact" (float32), "fast" (bfloat16 where the CPU has it), "int8" (images calibrated on `samples`).
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
        samples: Samples | None = None,
    ) -> None:
        library()
        if precision == "int8" and samples is None:
            raise UsageError("precision 'int8' takes samples to calibrate on, and there are none")
        self.model, self.precision, self.head = model.eval(), precision, head
        self.cache, self.samples = cache, samples if precision == "int8" else None
        self._compiling = threading.Lock()
        self._graphs: dict[Side, Compiled] = {}

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @cached_property
    def dtype(self) -> torch.dtype:
        if self.precision == "int8":
            return torch.int8
        return torch.bfloat16 if self.precision == "fast" and cpu_has_bfloat16() else torch.float32

    def encode_image(self, pixels_BCSS: Pixels) -> Features:
        return self._graph("image", parts=len(pixels_BCSS) > 1)([pixels_BCSS])

    def encode_text(self, ids_BL: Ids, mask_BL: Ids) -> Features:
        return self._graph("text")([ids_BL, mask_BL])

    def _graph(self, side: Side, *, parts: bool = False) -> Compiled:
        """Compiled at the first call; of threads that come together, one compiles and the others wait.

        parts: one that computes a batch in parts side by side, which then computes single inputs too, on fewer cores:
        two would hold the weights twice.
        """
        with self._compiling:
            if side not in self._graphs or (parts and not self._graphs[side].parts):
                graph = image_graph(self.model) if side == "image" else text_graph(self.model, self._longest, self.head)
                told = [side, self.head, json.dumps(self.model.config.to_dict(), sort_keys=True)]
                change: Callable[[Any], Any] | None = None
                if self.samples is not None:
                    images = side == "image"
                    told += ["nncf", version("nncf"), self.samples.told() if images else "weights"]
                    change = partial(_calibrated, samples=self.samples) if images else with_small_weights
                exact = self.precision == "exact"
                self._graphs.pop(side, None)  # before the next is made: at full size each takes 0.6 GB and more
                self._graphs[side] = Compiled(graph, told, self.cache, exact=exact, parts=parts, change=change)
            return self._graphs[side]

    @property
    def _longest(self) -> int:
        return self.model.config.text.max_length if self.model.config.text else 0


class Compiled:
    """One graph, compiled; calls from several threads may overlap, each thread has a request of its own.

    exact: in float32 even where the CPU has bfloat16. parts: cut a batch into as many as the library computes side by
    side, each on cores of its own, which wait for one another less; else one request has all cores. told: what the
    graph was made from besides its weights. change: what to do to the converted model before it is compiled.
    """

    def __init__(
        self,
        graph: Graph,
        told: Sequence[str],
        cache: Path | None,
        *,
        exact: bool,
        parts: bool = False,
        change: Callable[[Any], Any] | None = None,
    ) -> None:
        ov = library()
        core = ov.Core()
        options = {
            "INFERENCE_PRECISION_HINT": "f32" if exact or not cpu_has_bfloat16() else "bf16",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "THROUGHPUT" if parts else "LATENCY",
        }

        def compile_anew() -> bytes:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # torch's remarks on its own program format
                converted = ov.convert_model(traced(graph))
            converted = change(converted) if change else converted
            file = io.BytesIO()
            core.compile_model(converted, "CPU", options).export_model(file)
            return file.getvalue()

        facts = [
            __version__,
            torch.__version__,
            ov.__version__,
            core.get_property("CPU", "FULL_DEVICE_NAME"),
            str(sorted(options.items())),
            *told,
            digest_weights(graph.module.state_dict().items()),
        ]
        try:
            self._model = core.import_model(io.BytesIO(kept(cache, facts, compile_anew)), "CPU", options)
        except RuntimeError:  # whole, and yet the library does not take it: of a build with the same number, say
            content = kept(cache, facts, compile_anew, anew=True)
            self._model = core.import_model(io.BytesIO(content), "CPU", options)
        self.parts = int(self._model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")) if parts else 0
        self._own = threading.local()

    def __call__(self, inputs: Inputs) -> Features:
        if not hasattr(self._own, "requests"):
            self._own.requests = [self._model.create_infer_request() for _ in range(max(1, self.parts))]
        count = min(len(self._own.requests), len(inputs[0]))
        cut = [np.array_split(np.ascontiguousarray(array), count) for array in inputs]
        begun = self._own.requests[:count]
        try:
            for place, request in enumerate(begun):
                request.start_async([pieces[place] for pieces in cut])
            for request in begun:
                request.wait()
        except RuntimeError:  # the others may still be computing: the next call gets requests of its own
            del self._own.requests
            raise
        # a copy: the next call writes over what the requests hold
        features: Features = np.concatenate([request.get_output_tensor().data for request in begun], dtype=np.float32)
        return features


def _calibrated(model: Any, samples: Samples) -> Any:
    return quantised(model, samples.make())
