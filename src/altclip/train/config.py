"""What a recipe may say: one pydantic model a section, unknown keys refused, paths relative to `--data`.

A recipe is a list of stages that run in order, each from the weights the one before left behind.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from altclip.languages import Language

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelsFile(Section):
    """Names of classes by language, JSON lines (see `data.labels`)."""

    path: str
    key: str
    fields: list[str] = ["names", "synonyms"]
    languages: list[Language] = ["en"]
    template_share: Share = 0.5


class PairData(Section):
    """Images with texts: of a labels file through the column `label`, or in caption columns by language."""

    path: str
    image: str = "image"
    label: str | None = None
    labels: LabelsFile | None = None
    captions: dict[Language, str] = {}
    exclude: dict[str, list[str]] = {}
    weight: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _one_kind_of_text(self) -> PairData:
        if bool(self.labels) == bool(self.captions) or bool(self.labels) != bool(self.label):
            raise ValueError("give either `label` with `labels` (names of classes) or `captions` (columns by language)")
        return self


class ParallelData(Section):
    """Parallel text: a TSV file of English and `language`, or the names of a labels file in each of its languages."""

    path: str | None = None
    language: Language | None = None
    labels: LabelsFile | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _one_kind(self) -> ParallelData:
        if bool(self.labels) == bool(self.path) or bool(self.path) != bool(self.language):
            raise ValueError("give either `path` with `language` (a TSV file) or `labels` (names of classes)")
        return self


class AugmentConfig(Section):
    """scale: share of the image's area a crop keeps; sizes: [share of the steps, side in pixels], the last to the end."""

    scale: tuple[Share, Share] = (0.5, 1.0)
    flip: Share = 0.5
    sizes: list[tuple[Share, Positive]] = []


class OptimizerConfig(Section):
    """AdamW for all, or Muon for the matrices of the layers with AdamW for the rest. Decay spares norms and biases.

    `trapezoid` holds the rate and lets it fall linearly over the last `decay_share` of the steps.
    """

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    matrix_learning_rate: Annotated[float, Field(gt=0)] = 0.02
    betas: tuple[Share, Share] = (0.9, 0.98)
    eps: float = 1e-6
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    groups: dict[str, float] = {}
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    schedule: Literal["cosine", "linear", "constant", "trapezoid"] = "cosine"
    decay_share: Share = 0.2
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    final_share: Share = 0.0


class StageConfig(Section):
    """One stage. `start`: weights to begin from by part (image, text, all): an earlier stage, a folder or a hub id."""

    kind: Literal["contrastive", "distill", "align"]
    model: str
    vision: dict[str, Any] = {}
    text: dict[str, Any] = {}
    start: dict[Literal["image", "text", "all"], str] = {}
    teacher: str | None = None
    teacher_vector: Literal["projected", "pooled"] = "projected"
    freeze: list[str] = []
    pairs: list[PairData] = []
    parallel: list[ParallelData] = []
    temperature: Annotated[float, Field(gt=0)] = 2.0
    augment: AugmentConfig = AugmentConfig()
    live: bool = False
    optimizer: OptimizerConfig = OptimizerConfig()
    batch_size: Positive = 256
    accumulate: Positive = 1
    steps: Positive
    ema: Share = 0.0
    max_logit_scale: float = 100.0
    gradient_checkpointing: bool = False
    checkpoint_every: Positive = 500
    log_every: Positive = 20
    max_bad_share: Share = 0.01
    max_text_tokens: Positive | None = None

    @model_validator(mode="after")
    def _needs(self) -> StageConfig:
        if self.kind == "distill" and not (self.teacher and self.parallel):
            raise ValueError("a distill stage needs `teacher` and `parallel`")
        if self.kind != "distill" and not self.pairs:
            raise ValueError(f"a stage of kind {self.kind} needs `pairs`")
        return self


class TokenizerConfig(Section):
    """A tokenizer to train first (`vocab_size`), or one to take as it is (`path`)."""

    path: str | None = None
    vocab_size: Positive = 12000
    files: list[str] = []
    labels: list[LabelsFile] = []


class Recipe(Section):
    """A whole recipe. leave_out_every: leave every n-th (class, language) name out of all training text (0: none)."""

    name: str
    seed: int = 0
    precision: Literal["no", "bf16", "fp16"] = "no"
    workers: Positive = 1
    leave_out_every: Annotated[int, Field(ge=0)] = 0
    tokenizer: TokenizerConfig
    stages: dict[str, StageConfig]
