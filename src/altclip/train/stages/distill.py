"""Stage 1 of AltCLIP: the student's text feature learns to equal the teacher's, from parallel text alone.

The teacher sees the English side only; the student sees both sides, and both are drawn to the same target
(Chen et al. 2022, section 3.1). The teacher is frozen and in eval mode, so each English text is encoded once and kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from altclip.data.parallel import ParallelBatches
from altclip.losses import distillation_loss
from altclip.models import DualEncoder, Head
from altclip.train.stages.build import build_model, parallel_sources
from altclip.train.stages.context import Context, Features
from altclip.train.stages.contrastive import tokenize


@dataclass
class TextTensors:
    """Both sides of the pairs, English first: ids and mask (2B, L); targets (2B, D)."""

    ids: Tensor
    mask: Tensor
    targets: Tensor


class StudentText(nn.Module):
    def __init__(self, model: DualEncoder, head: Head) -> None:
        super().__init__()
        self.model, self.head = model, head

    def forward(self, batch: TextTensors) -> Features:
        device = self.model.logit_scale.device
        return {"texts": self.model.encode_text(batch.ids.to(device), batch.mask.to(device), self.head)}


class Distill:
    """The stage `distill`."""

    def __init__(self, context: Context) -> None:
        self.context, config = context, context.config
        self.trained = build_model(context).to(context.device)
        self.module = StudentText(self.trained, distilled_head(self.trained, context))
        self.teacher = TeacherFeatures(context)
        sources = [source for data in config.parallel for source in parallel_sources(context, data)]
        self.pairs = ParallelBatches(
            sources, config.batch_size, context.recipe.seed, config.temperature, context.rank, context.world_size
        )

    def batch(self, step: int) -> TextTensors:
        pairs = self.pairs(step)
        english = [pair.english for pair in pairs]
        ids, mask = tokenize(self.context, english + [pair.other for pair in pairs])
        return TextTensors(ids, mask, self.teacher(english).repeat(2, 1))

    def split(self, batch: TextTensors, parts: int) -> list[TextTensors]:
        return [TextTensors(*part) for part in zip(*(t.chunk(parts) for t in vars(batch).values()), strict=True)]

    def loss(self, features: Features, batch: TextTensors) -> tuple[Tensor, dict[str, float]]:
        targets = batch.targets.to(features["texts"].device)
        cosine = torch.cosine_similarity(features["texts"].detach().float(), targets).mean()
        return distillation_loss(features["texts"], targets), {"cosine": float(cosine)}


class TeacherFeatures:
    """The teacher's features of English texts, each computed once."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.model = context.load(context.config.teacher or "").eval().requires_grad_(False)
        self.known: dict[str, Tensor] = {}

    def __call__(self, texts: list[str]) -> Tensor:
        """(len(texts), D)"""
        if new := list(dict.fromkeys(text for text in texts if text not in self.known)):
            with torch.inference_mode():
                self.known.update(zip(new, self._encode(new), strict=True))
        return torch.stack([self.known[text] for text in texts]).clone()

    def _encode(self, texts: list[str]) -> Tensor:
        ids, mask = tokenize(self.context, texts)
        return self.model.encode_text(ids, mask, distilled_head(self.model, self.context)).float()


def distilled_head(model: DualEncoder, context: Context) -> Head:
    """The read-out whose vectors are compared: after the projection, or before it (`teacher_vector`)."""
    head = model.text.head("retrieval")
    return head if context.config.teacher_vector == "projected" else replace(head, projection=None)
