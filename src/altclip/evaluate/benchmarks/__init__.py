"""Benchmark sets as their authors hand them out: what each wants, a reader for each form, and checks of all of it.

`BENCHMARKS` has a row for each set by name; `open_benchmark` reads one.
"""

from altclip.evaluate.benchmarks.bundled import BUNDLED
from altclip.evaluate.benchmarks.catalogue import Benchmark, Content, Form, Wanted, open_benchmark
from altclip.evaluate.benchmarks.coco import COCO
from altclip.evaluate.benchmarks.content import Caption, Captions, CaptionSet, LabelledSet, ParallelSet, Translations
from altclip.evaluate.benchmarks.flickr import FLICKR
from altclip.evaluate.benchmarks.labelled import LABELLED
from altclip.evaluate.benchmarks.others import OTHERS

BENCHMARKS: dict[str, Benchmark] = {row.name: row for row in (*FLICKR, *COCO, *OTHERS, *LABELLED, *BUNDLED)}

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Caption",
    "CaptionSet",
    "Captions",
    "Content",
    "Form",
    "LabelledSet",
    "ParallelSet",
    "Translations",
    "Wanted",
    "open_benchmark",
]
