"""The stages a recipe is made of, by name."""

from altclip.train.stages.align import Align
from altclip.train.stages.context import Context, Features, Stage
from altclip.train.stages.contrastive import Contrastive
from altclip.train.stages.distill import Distill

STAGES = {"contrastive": Contrastive, "distill": Distill, "align": Align}

__all__ = ["STAGES", "Context", "Features", "Stage"]
