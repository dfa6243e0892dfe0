"""The stages a recipe is made of, by name."""

from collections.abc import Callable
from typing import Any, Final

from altclip.train.stages.align import Align
from altclip.train.stages.context import Context, Features, Stage
from altclip.train.stages.contrastive import Contrastive
from altclip.train.stages.denoise import Denoise
from altclip.train.stages.distill import Distill

STAGES: Final[dict[str, Callable[[Context], Stage[Any]]]] = {
    "contrastive": Contrastive,
    "distill": Distill,
    "align": Align,
    "denoise": Denoise,
}

__all__ = ["STAGES", "Context", "Features", "Stage"]
