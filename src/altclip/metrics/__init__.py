"""How good a ranking is, and how far a figure may be off: pure functions over numpy arrays.

`ranking` counts what stands before the right item; `retrieval`, `classification` and `probes` make figures of ranks;
`spaces` says how two sets of embeddings lie to each other; `intervals` says how far a figure may be off.
"""

from altclip.metrics.classification import (
    Classification,
    calibration_error,
    class_embeddings,
    classification,
    mean_per_class,
)
from altclip.metrics.intervals import Estimate, estimate, paired_differences, ratio, resampled_means, wilson
from altclip.metrics.probes import neighbour_votes
from altclip.metrics.ranking import (
    Ranks,
    best_ranks,
    groups_of,
    ranks_of_places,
    right_places,
    score_ranks,
    share_within,
)
from altclip.metrics.retrieval import (
    Direction,
    Retrieval,
    RetrievalFigures,
    RetrievalRanks,
    retrieval,
    retrieval_figures,
    retrieval_ranks,
    translation_ranks,
)
from altclip.metrics.spaces import Alignment, alignment
from altclip.metrics.vectors import Embeddings, normalised

__all__ = [
    "Alignment",
    "Classification",
    "Direction",
    "Embeddings",
    "Estimate",
    "Ranks",
    "Retrieval",
    "RetrievalFigures",
    "RetrievalRanks",
    "alignment",
    "best_ranks",
    "calibration_error",
    "class_embeddings",
    "classification",
    "estimate",
    "groups_of",
    "mean_per_class",
    "neighbour_votes",
    "normalised",
    "paired_differences",
    "ranks_of_places",
    "ratio",
    "resampled_means",
    "retrieval",
    "retrieval_figures",
    "retrieval_ranks",
    "right_places",
    "score_ranks",
    "share_within",
    "translation_ranks",
    "wilson",
]
