"""Libraries that make remarks for those who work on them, silenced for a while."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_ONE_AT_A_TIME: Final = threading.RLock()  # two threads would put back what the other has switched off


@contextmanager
def silenced() -> Iterator[None]:
    """While this lasts nothing below an error is logged, by no library: the switch is the whole process's."""
    with _ONE_AT_A_TIME:
        before, silent = logging.root.manager.disable, logging.NullHandler()
        logging.root.addHandler(silent)  # without one, a remark on the root logger would set logging up for the program
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
            logging.root.removeHandler(silent)
