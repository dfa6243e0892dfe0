"""Stage 1 of AltCLIP: the student's text feature learns to equal the teacher's, from parallel text alone.

The teacher sees the English side only; the student sees both sides, and both are drawn to the same target
(Chen et al. 2022, section 3.1). The teacher is frozen and in eval mode, so each English text is encoded once and kept.
An English text that stands in several pairs of a batch goes through the student once, and counts as often as it stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from altclip.checkpoints import load_model
from altclip.data.parallel import ParallelBatches
from altclip.data.prefetch import prefetched
from altclip.errors import UsageError
from altclip.losses import distillation_loss
from altclip.models import DualEncoder, Head
from altclip.processing import Tokenizer
from altclip.train.stages.build import build_model, compared_head
from altclip.train.stages.context import Batch, Context, Features
from altclip.train.stages.result import save_towers
from altclip.train.stages.sources import parallel_sources
from altclip.train.stages.texts import check_tokenizer, text_features, text_limit, tokenize

_KEPT: Final = 2**20  # teacher features kept in memory: 3 GB of 768 numbers each


@dataclass
class TextTensors(Batch):
    """The different English texts of the pairs, then all others: ids, mask (N, L); targets (N, D).

    counts (N,): how many pairs each stands for.
    """

    ids: Tensor
    mask: Tensor
    targets: Tensor
    counts: Tensor


class StudentText(nn.Module):
    """The student's features of the texts of a batch."""

    def __init__(self, model: DualEncoder, head: Head) -> None:
        super().__init__()
        self.model, self.head = model, head

    def forward(self, batch: TextTensors) -> Features:
        return {"texts": text_features(self.model, batch.ids, batch.mask, self.head)}


class Distill:
    """The stage `distill`."""

    def __init__(self, context: Context) -> None:
        self.context, config = context, context.config
        self.trained = build_model(context).to(context.device)
        self.teacher = TeacherFeatures(context)
        if config.teacher_vector == "pooled":
            take_projection(self.trained, self.teacher.model)
        self.module: nn.Module = StudentText(self.trained, compared_head(self.trained, config))
        self.limit = text_limit(context.tokenizer, self.trained, config)
        sources = [source for data in config.parallel for source in parallel_sources(context, data)]
        self.pairs = ParallelBatches(
            sources, config.batch_size, context.recipe.seed, config.temperature, context.rank, context.world_size
        )

    def batches(self, start: int, stop: int, _position: dict[str, Any]) -> Iterator[TextTensors]:
        return prefetched(self.batch, range(start, stop), self.context.recipe.workers)

    def batch(self, step: int) -> TextTensors:
        pairs, skipped = self.pairs(step)
        counts = Counter(pair.english for pair in pairs)
        targets = dict(zip(counts, self.teacher(list(counts)), strict=True))
        ids, mask = tokenize(self.context.tokenizer, [*counts, *(pair.other for pair in pairs)], self.limit)
        return TextTensors(
            ids, mask, torch.stack([*targets.values(), *(targets[pair.english] for pair in pairs)]),
            torch.tensor([*counts.values(), *[1] * len(pairs)], dtype=torch.float32), skipped=skipped,
        )  # fmt: skip

    def split(self, batch: TextTensors, parts: int) -> list[TextTensors]:
        tensors = (batch.ids, batch.mask, batch.targets, batch.counts)
        return [TextTensors(*part) for part in zip(*(tensor.chunk(parts) for tensor in tensors), strict=True)]

    def loss(self, features: Features, batch: TextTensors) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of this process's pairs; all have as many, so the mean over processes is that of all pairs."""
        texts = features["texts"]
        targets, counts = batch.targets.to(texts.device), batch.counts.to(texts.device)
        cosines = torch.cosine_similarity(texts.detach().float(), targets)
        return distillation_loss(texts, targets, counts), {"cosine": (cosines * counts).sum() / counts.sum()}

    def save(self, folder: Path, facts: dict[str, Any]) -> None:
        """`model/`, or the adapter of a stage with `lora`."""
        save_towers(self.trained, self.context, folder, facts)


class TeacherFeatures:
    """The teacher's features of English texts, each computed once, in the recipe's precision, and kept on the CPU."""

    def __init__(self, context: Context) -> None:
        self.context = context
        folder = context.folder(context.config.teacher or "")
        self.model = load_model(folder, dtype=torch.float32).requires_grad_(False).to(context.device)
        if "retrieval" not in self.model.config.heads:
            raise UsageError(
                f"teacher {context.config.teacher} gives no feature of a text (heads: "
                f"{', '.join(self.model.config.heads) or 'none'}): name a CLIP-like model with both towers"
            )
        self.tokenizer = Tokenizer.from_folder(folder)
        check_tokenizer(self.tokenizer, self.model.text.config, f"teacher {context.config.teacher}")
        self.limit = text_limit(self.tokenizer, self.model, context.config)
        self.head = compared_head(self.model, context.config)
        self.known: dict[str, Tensor] = {}

    def __call__(self, texts: list[str]) -> Tensor:
        """(len(texts), D), of texts that all differ."""
        found = {text: self.known[text] for text in texts if text in self.known}
        if new := [text for text in texts if text not in found]:
            found.update(zip(new, self._encode(new), strict=True))
            if len(self.known) < _KEPT:
                self.known.update((text, found[text]) for text in new)
        return torch.stack([found[text] for text in texts])

    @torch.no_grad()
    def _encode(self, texts: list[str]) -> Tensor:
        ids, mask = tokenize(self.tokenizer, texts, self.limit)
        with self.context.autocast():
            return text_features(self.model, ids, mask, self.head).float().cpu()


def take_projection(student: DualEncoder, teacher: DualEncoder) -> None:
    """Give the student the teacher's text projection: features compared before it then meet the images after it."""
    names = student.text.head("retrieval").projection, teacher.text.head("retrieval").projection
    if None in names:
        raise UsageError("teacher_vector = 'pooled' needs a projection in both models: take 'projected'")
    own, given = (
        model.get_parameter(f"text.projections.{name}.weight")
        for model, name in zip((student, teacher), names, strict=True)
    )
    if own.shape != given.shape:
        raise UsageError(
            f"the teacher's projection is {list(given.shape)}, the student's {list(own.shape)}: choose equal widths, "
            "or teacher_vector = 'projected'"
        )
    own.data.copy_(given)
