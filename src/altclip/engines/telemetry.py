"""openvino and its companions without their telemetry, which would tell Google Analytics of imports and conversions."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ONE_AT_A_TIME = threading.RLock()  # what is forbidden here is so for the whole process


@contextmanager
def without_telemetry() -> Iterator[None]:
    """While this lasts, `openvino_telemetry` cannot be imported: who tries takes a stub that sends nothing.

    One that the program has imported before us is left alone.
    """
    with _ONE_AT_A_TIME:
        silenced = "openvino_telemetry" not in sys.modules
        if silenced:
            sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # Python's way to forbid an import
        try:
            yield
        finally:
            if silenced:
                del sys.modules["openvino_telemetry"]
