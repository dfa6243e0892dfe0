"""Who is measured: every engine that is installed in each precision that differs here, and engines of other tools.

altclip imports no other tool. Those come from a Python file of the user's, whose function `peers(folder)` opens a model
folder in the layout of transformers and gives engines by name; benchmarks/encode_peers.py is one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import numpy as np

from altclip.bench.ends import engine_name
from altclip.checkpoints import save_model
from altclip.encoder import Encoder
from altclip.encoder.calibration import check_bundled
from altclip.engines import ENGINES, PRECISIONS, Engine, Samples, choose
from altclip.engines.base import Inputs
from altclip.errors import MissingExtraError, UsageError
from altclip.models import DualEncoder

Peers: TypeAlias = Callable[[Path], Mapping[str, Engine]]
EXACT: Final = "exact"
REFERENCE: Final = "torch float32"
RANDOM: Final = "random:"
_SAMPLES: Final = 32  # the least that int8 is calibrated on


def known_precisions() -> list[str]:
    """All of them, the exact one first."""
    return [EXACT, *(name for name in PRECISIONS if name != EXACT)]


def check_precisions(names: Sequence[str]) -> None:
    """Raises UsageError for a precision that there is none of."""
    if unknown := [name for name in names if name not in PRECISIONS]:
        raise UsageError(f"no precision {', '.join(unknown)}: expected some of {', '.join(known_precisions())}")


def engines_here(
    name: str, model: DualEncoder, precisions: Sequence[str], report: Callable[[str], None]
) -> dict[str, Engine]:
    """Engines by name and number format; torch in float32 is the first. Each that cannot run here is told to `report`.

    A precision that computes as another one does on this machine is left out. name: of the model, or `random:...`.
    """
    made: dict[str, Engine] = {REFERENCE: choose("torch", model, precision=EXACT)[0]}
    told: dict[str, None] = {}
    for engine in ENGINES:
        for precision in [EXACT, *(of for of in precisions if of != EXACT)]:
            if precision == "int8" and engine != "openvino":  # the only one that has it
                continue
            try:
                found = in_int8(name, model) if precision == "int8" else choose(engine, model, precision=precision)[0]
            except (MissingExtraError, UsageError) as error:
                told[f"left out: {engine}: {error}"] = None
                continue
            made.setdefault(engine_name(found), found)
    for line in told:
        report(line)
    return made


def in_int8(name: str, model: DualEncoder) -> Engine:
    """Calibrated as `Encoder` does it; random weights on noise, as only their speed says something.

    Raises UsageError where the photographs for it are not installed, MissingExtraError without the libraries.
    """
    if not name.startswith(RANDOM):
        if model.config.vision:
            check_bundled()  # here, as the encoder looks for them when it has to compile
        return Encoder(name, device="cpu", precision="int8").engine
    return choose("openvino", model, precision="int8", samples=Samples(lambda: "noise", partial(_noise, model)))[0]


def _noise(model: DualEncoder) -> Sequence[Inputs]:
    draw, config = np.random.default_rng(0), model.config.vision
    shape = (1, config.num_channels, config.image_size, config.image_size) if config else ()
    return [[draw.standard_normal(shape, np.float32)] for _ in range(_SAMPLES)]


def engines_of(peers: Peers, model: DualEncoder) -> dict[str, Engine]:
    """The peers' engines around the same weights. Raises UsageError where a peer cannot be opened."""
    with TemporaryDirectory() as folder:
        save_model(model, folder)
        try:
            return dict(peers(Path(folder)))
        except (ImportError, OSError, ValueError) as error:
            raise UsageError(f"the peers cannot be opened: {error}; install them, or leave --peers out") from error


def read_peers(path: Path) -> Peers:
    """The function `peers` of a Python file, which is run. Raises UsageError if there is none."""
    spec = importlib.util.spec_from_file_location("altclip_peers", path) if path.suffix == ".py" else None
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"{path} is no Python file: expected one such as benchmarks/encode_peers.py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        raise UsageError(f"{path} cannot be run: {error}") from error
    found: Any = getattr(module, "peers", None)
    if not callable(found):
        raise UsageError(f"{path} has no function `peers(folder)` that gives engines by name")
    peers: Peers = found
    return peers
