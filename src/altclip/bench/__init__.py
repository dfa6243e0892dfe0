"""How fast this machine runs a model: `timing` times, `measures` says what is timed, `run` puts it together."""

from altclip.bench.measures import Row
from altclip.bench.run import Report, bench

__all__ = ["Report", "Row", "bench"]
