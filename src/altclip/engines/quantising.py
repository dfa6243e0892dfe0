"""Matrix products in int8: the one file that imports nncf.

Images: weights are rounded by output channel, activations by tensor in ranges taken from samples; SmoothQuant (Xiao et
al., 2022) moves outliers of activations into the weights first, and biases are corrected for what the rounding shifts.
Texts: weights alone are stored in int8, activations are rounded as they come, which needs no samples; in ranges of
samples names and captions of nine languages lost more than images did (docs/log.md).
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from altclip.engines.base import Inputs
from altclip.engines.telemetry import without_telemetry
from altclip.errors import MissingExtraError, UsageError

_ONE_AT_A_TIME: Final = threading.RLock()  # two threads would put back each other's stdout
LEAST: Final = 32  # samples; with fewer the ranges of activations are chance


@dataclass(frozen=True)
class Samples:
    """What int8 is calibrated on. told: what the images are, not yet opened; make: inputs of one image each."""

    told: Callable[[], str]
    make: Callable[[], Sequence[Inputs]]


def library() -> Any:
    """nncf. Raises MissingExtraError without it."""
    with without_telemetry():
        try:
            return importlib.import_module("nncf")
        except ImportError as error:
            raise MissingExtraError("nncf", "openvino") from error


def with_small_weights(model: Any) -> Any:
    """An OpenVINO model whose weights are in int8. Raises MissingExtraError without nncf."""
    nncf = library()
    with _quiet():
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)


def quantised(model: Any, samples: Sequence[Inputs]) -> Any:
    """An OpenVINO model whose matrix products are in int8.

    Raises UsageError for fewer than `LEAST` samples, MissingExtraError without nncf.
    """
    check_enough(len(samples), "samples")
    nncf = library()
    with _quiet():
        return nncf.quantize(
            model,
            nncf.Dataset(list(samples), list),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(samples),
            fast_bias_correction=True,
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without its progress bars and remarks."""
    with _ONE_AT_A_TIME:
        before = logging.getLogger("nncf").level
        logging.getLogger("nncf").setLevel(logging.ERROR)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        finally:
            logging.getLogger("nncf").setLevel(before)


def check_enough(count: int, what: str) -> None:
    """Raise UsageError for too few to calibrate on."""
    if count < LEAST:
        raise UsageError(
            f"int8 is calibrated on {count} {what}: expected {LEAST} or more, better 300, like those to be encoded"
        )
