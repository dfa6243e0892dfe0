"""How fast this machine runs a model, and what each precision costs in quality.

`timing` times; `products`, `measures` and `ends` say what is timed; `contenders` opens engines, `peers` those of other
tools; `price` measures what a precision changes; `picture` draws; `run` puts it together.
"""

from altclip.bench.measures import Row
from altclip.bench.price import Agreement, Price
from altclip.bench.run import Report, bench

__all__ = ["Agreement", "Price", "Report", "Row", "bench"]
