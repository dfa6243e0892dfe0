"""One measurement of this machine with one model."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from altclip import __version__
from altclip.bench.contenders import EXACT, RANDOM, Peers, check_precisions, engines_here, engines_of, known_precisions
from altclip.bench.ends import end_to_end
from altclip.bench.measures import Row, towers
from altclip.bench.price import Agreement, Answers, Price, answers, prices
from altclip.bench.products import matrix_products
from altclip.encoder import Encoder
from altclip.errors import AltclipError, UsageError
from altclip.evaluate.benchmarks import BENCHMARKS, Content, open_benchmark
from altclip.models import DualEncoder, initialise, preset

Say = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """model: as it was named; parameters: how many; rows: in the order of the table.

    dataset: the set that prices were measured on, if any; agreements, prices: of each precision but the exact one.
    """

    model: str
    parameters: int
    rows: Sequence[Row]
    machine: Mapping[str, Any]
    dataset: str | None = None
    agreements: Sequence[Agreement] = ()
    prices: Sequence[Price] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        lists = ("rows", "agreements", "prices")
        return {**asdict(self), **{name: [asdict(of) for of in getattr(self, name)] for name in lists}}


def bench(
    model: str = "mini",
    *,
    runs: int = 5,
    precisions: Sequence[str] = (),
    dataset: str = "",
    root: Path | None = None,
    peers: Peers | None = None,
    report: Say = lambda _: None,
) -> Report:
    """Measure the matrix products of this machine, and a model by each engine and precision on its CPU.

    Args:
        model: a folder, preset or hub id; or `random:` and a preset, for random weights of its sizes, which need no
            download and are as fast.
        runs: of each measurement, in turns, after one that does not count.
        precisions: of "exact", "fast" and "int8"; all if empty. torch in float32 is measured in any case.
        dataset: a set of `altclip evaluate`, on which the price of each precision is measured.
        root: the folder with its files.
        peers: gives engines of other tools by name for a model folder in the layout of transformers; they are measured
            beside ours. altclip itself opens no other tool.
        report: told what is being done, and what cannot be done here.

    Raises:
        UsageError: fewer than one run, an unknown preset, precision or set. CheckpointError: the model cannot be
            opened. DataError: the set is not whole.
    """
    if runs < 1:
        raise UsageError(f"{runs} runs: expected one or more")
    check_precisions(precisions)
    content = _content(model, dataset, root, report)
    asked = list(precisions) or known_precisions()
    report(f"opening {model}")
    encoder = None if model.startswith(RANDOM) else Encoder(model, device="cpu")
    dual = encoder.model if encoder else initialise(DualEncoder(preset(model.removeprefix(RANDOM)))).eval()
    report("matrix products")
    rows = matrix_products(runs)
    report("the model by each engine")
    engines = engines_here(model, dual, asked, report)
    rows += towers(engines | (engines_of(peers, dual) if peers else {}), dual, runs)
    del engines
    if encoder is not None:
        report("from end to end")
        rows += end_to_end(encoder, runs)
    near, found = _prices(model, [of for of in asked if of != EXACT], content, report) if content else ((), ())
    count = sum(p.numel() for p in dual.parameters())
    return Report(model, count, rows, machine(), content.name if content else None, near, found)


def _content(model: str, dataset: str, root: Path | None, report: Say) -> Content | None:
    """The set, read before anything is measured."""
    if not dataset and root is None:
        return None
    if not dataset or root is None:
        raise UsageError("a data set needs both its name and the folder with its files: --dataset NAME --root DIR")
    if dataset not in BENCHMARKS:
        raise UsageError(f"unknown data set {dataset!r}: expected one of {', '.join(BENCHMARKS)}")
    if model.startswith(RANDOM):
        raise UsageError(f"{model} finds nothing in a data set: give a trained model, or leave --dataset out")
    report(f"reading {dataset}")
    content = open_benchmark(BENCHMARKS[dataset], root, partial=True)  # what changes is asked of the same queries
    for note in content.notes:
        report(f"{dataset}: {note}")
    return content


def _prices(
    model: str, precisions: Sequence[str], content: Content, report: Say
) -> tuple[list[Agreement], list[Price]]:
    """Of each precision that this machine can run; each encoder as a user would open it."""
    report(f"{content.name}: {EXACT}")
    exact = answers(Encoder(model, device="cpu", precision=EXACT), content)
    near: list[Agreement] = []
    found: list[Price] = []
    for precision in precisions:
        report(f"{content.name}: {precision}")
        try:
            other: Answers = answers(Encoder(model, device="cpu", precision=precision), content)
        except (ImportError, UsageError) as error:
            if not isinstance(error, AltclipError):
                raise
            report(f"left out: the price of {precision}: {error}")
            continue
        agreements, changes = prices(precision, exact, other)
        near, found = near + agreements, found + changes
    return near, found


def machine() -> dict[str, Any]:
    """What the figures depend on: CPU, threads, versions."""
    found: dict[str, Any] = {"cpu": _cpu(), "threads": torch.get_num_threads(), "cores": os.cpu_count()}
    found |= {"system": platform.platform(), "python": platform.python_version(), "altclip": __version__}
    for library in ("torch", "openvino", "onnxruntime"):
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
