"""One measurement of this machine with one model."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import torch

from altclip import __version__
from altclip.bench.measures import Row, files, matrix_products, towers
from altclip.encoder import Encoder
from altclip.engines import Engine, choose, openvino
from altclip.errors import UsageError
from altclip.models import DualEncoder, initialise, preset

RANDOM: Final = "random:"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """model: as it was named; parameters: how many; rows: in the order of the table."""

    model: str
    parameters: int
    rows: Sequence[Row]
    machine: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows]}


def bench(model: str = "mini", *, runs: int = 5, report: Say = lambda _: None) -> Report:
    """Measure the matrix products of this machine, and a model by each engine and precision on its CPU.

    Args:
        model: a folder, preset or hub id; or `random:` and a preset, for random weights of its sizes, which need no
            download and are as fast.
        runs: of each measurement, in turns, after one that does not count.
        report: told what is being done.

    Raises:
        UsageError: fewer than one run, an unknown preset. CheckpointError: the model cannot be opened.
    """
    if runs < 1:
        raise UsageError(f"{runs} runs: expected one or more")
    encoder = None
    report(f"opening {model}")
    if model.startswith(RANDOM):
        dual = initialise(DualEncoder(preset(model.removeprefix(RANDOM)))).eval()
    else:
        encoder = Encoder(model, device="cpu", engine="torch")
        dual = encoder.model
    rows = []
    report("matrix products")
    rows += matrix_products(runs)
    report("the model by each engine")
    rows += towers(_engines(dual), dual, runs)
    if encoder is not None:
        report("files")
        rows += files(encoder, runs)
    return Report(model, sum(p.numel() for p in dual.parameters()), rows, machine())


def _engines(model: DualEncoder) -> dict[str, Engine]:
    """Each engine that is installed in each precision that differs on this machine; torch in float32 is the first."""
    made: dict[str, Engine] = {"torch float32": choose("torch", model, precision="exact")[0]}
    if openvino.is_installed():
        made["openvino float32"] = choose("openvino", model, precision="exact")[0]
        if openvino.has_bfloat16():
            made["openvino bfloat16"] = choose("openvino", model, precision="fast")[0]
    return made


def machine() -> dict[str, Any]:
    """What the figures depend on: CPU, threads, versions."""
    found: dict[str, Any] = {"cpu": _cpu(), "threads": torch.get_num_threads(), "cores": os.cpu_count()}
    found |= {"system": platform.platform(), "python": platform.python_version(), "altclip": __version__}
    for library in ("torch", "openvino"):
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
