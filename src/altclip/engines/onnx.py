"""The engine `onnx`: graphs in onnxruntime on the CPU, in float32.

A graph is made when it is first needed and kept on disk without its weights, which are taken from the model: so the
file is small, serves all models of one shape, and nothing has to be hashed.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Final

import torch

from altclip import __version__
from altclip.engines import onnx_library
from altclip.engines.base import Features, Ids, Pixels, Side
from altclip.engines.kept import kept
from altclip.engines.onnx_library import Run
from altclip.models import DualEncoder
from altclip.models.graphs import image_graph, text_graph


class OnnxEngine:
    """Runs a DualEncoder's graphs, in as many threads as torch has. Later changes to its weights do not count.

    model: in float32 on the CPU. head: through which texts are read. cache: the folder of graphs; None keeps none.

    Raises MissingExtraError without the extra `onnx`.
    """

    name: Final = "onnx"

    def __init__(self, model: DualEncoder, *, head: str = "retrieval", cache: Path | None = None) -> None:
        onnx_library.check_installed()
        self.model, self.head, self.cache = model.eval(), head, cache
        self._making = threading.Lock()
        self._graphs: dict[Side, Run] = {}

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    def encode_image(self, pixels_BCSS: Pixels) -> Features:
        return self._graph("image")({"pixel_values": pixels_BCSS})

    def encode_text(self, ids_BL: Ids, mask_BL: Ids) -> Features:
        return self._graph("text")({"input_ids": ids_BL, "attention_mask": mask_BL})

    def _graph(self, side: Side) -> Run:
        """Made at the first call; of threads that come together, one makes it and the others wait."""
        with self._making:
            if side not in self._graphs:
                self._graphs[side] = self._made(side)
            return self._graphs[side]

    def _made(self, side: Side) -> Run:
        longest = self.model.config.text.max_length if self.model.config.text else 0
        graph = image_graph(self.model) if side == "image" else text_graph(self.model, longest, self.head)
        config = json.dumps(self.model.config.to_dict(), sort_keys=True)
        facts = [__version__, torch.__version__, *onnx_library.versions(), side, self.head, config]
        content = kept(self.cache, facts, lambda: onnx_library.without_weights(graph))
        return onnx_library.runner_with(content, graph.module.state_dict(), torch.get_num_threads())
