"""What a recipe may say: one pydantic model a section, unknown keys refused, paths relative to `--data`.

A recipe is a list of stages that run in order, each from the weights the ones before left behind.

pydantic checks how keys go together only after each key alone is right. Here both kinds of mistakes come in one go:
what a section needs is asked of the raw table (`needs`), whether or not its keys are right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)

from altclip.languages import Language
from altclip.models import PRESETS, TextConfig, VisionConfig
from altclip.train.mistakes import detail, nearest

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Above0 = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A table of a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def needs(cls, data: Mapping[str, Any]) -> list[str]:
        """What is wrong with how the keys of a table go together. The values may be of any type."""
        del data
        return []

    @model_validator(mode="wrap")
    @classmethod
    def _all_mistakes(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        needs = cls.needs(data) if isinstance(data, Mapping) else []
        found = [detail("needs", message, (), data) for message in needs]
        try:
            made = handler(data)
        except ValidationError as error:
            found += [detail(e["type"], e["msg"], e["loc"], e["input"]) for e in error.errors()]
        if found:
            raise ValidationError.from_exception_data(cls.__name__, found)
        return made


class LabelsFile(Section):
    """Names of classes by language, JSON lines (see `data.labels`).

    own: a label set of `altclip.prompts` with the same keys, whose names are added.
    """

    path: str
    key: str
    fields: list[str] = ["names", "synonyms"]
    own: str | None = None
    languages: list[Language] = ["en"]
    template_share: Share = 0.5


class PairData(Section):
    """Images with texts: of a labels file through the column `label`, or in caption columns by language.

    path: a file, a glob or a folder that `data.reading` opens; hub: the id of a data set of the hub instead.
    streaming: read from front to end, through a shuffle buffer of that many rows; for sets too large for a disk.
    expected_rows: how many rows the estimate of cost counts with.
    """

    path: str | None = None
    hub: str | None = None
    split: str = "train"
    streaming: bool = False
    shuffle_buffer: Positive = 10000
    expected_rows: Positive | None = None
    image: str = "image"
    label: str | None = None
    labels: LabelsFile | None = None
    captions: dict[Language, str] = {}
    exclude: dict[str, list[str]] = {}
    weight: Above0 = 1.0

    @classmethod
    def needs(cls, data: Mapping[str, Any]) -> list[str]:
        labels, captions = bool(data.get("labels")), bool(data.get("captions"))
        wrong = labels == captions or labels != bool(data.get("label"))
        texts = ["give either `label` with `labels` (names of classes) or `captions` (columns by language)"] * wrong
        return texts + ["give either `path` or `hub`"] * (bool(data.get("path")) == bool(data.get("hub")))


class HeldOut(Section):
    """Texts that no training may see: columns of a data set, each cell one text or several."""

    path: str
    columns: Annotated[list[str], Field(min_length=1)]


class ParallelData(Section):
    """Parallel text: a file of English and `language`, or the names of a labels file in each of its languages.

    path: TSV without a header, English first; or, as `hub` too, a data set with the `columns` English and other.
    held_out: pairs whose English text stands there are dropped (TSV files).
    """

    path: str | None = None
    hub: str | None = None
    columns: tuple[str, str] = ("english", "other")
    language: Language | None = None
    labels: LabelsFile | None = None
    held_out: HeldOut | None = None
    weight: Above0 = 1.0

    @classmethod
    def needs(cls, data: Mapping[str, Any]) -> list[str]:
        given = [name for name in ("path", "hub", "labels") if data.get(name)]
        if len(given) == 1 and (given == ["labels"]) != bool(data.get("language")):
            return []
        return ["give either `path` or `hub` with `language`, or `labels` (names of classes)"]


class AugmentConfig(Section):
    """scale: share of the image's area that a crop keeps; flip: chance of mirroring.

    sizes: [share of the steps, side in pixels], after the last the model's own.
    """

    scale: tuple[Share, Share] = (0.5, 1.0)
    flip: Share = 0.5
    sizes: list[tuple[Share, Positive]] = []


class OptimizerConfig(Section):
    """AdamW for all, or Muon for the matrices of the layers with AdamW for the rest. Decay spares norms and biases.

    groups: pattern of parameter names -> factor on the learning rate, the first that matches counts. `trapezoid` holds
    the rate and lets it fall linearly over the last `decay_share` of the steps.
    """

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: Above0 = 1e-3
    matrix_learning_rate: Above0 = 0.02
    betas: tuple[Share, Share] = (0.9, 0.98)
    eps: Above0 = 1e-6
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    groups: dict[str, float] = {}
    clip_norm: Above0 | None = 1.0
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
    projection_dim: Positive | None = None
    start: dict[Literal["image", "text", "all"], str] = {}
    teacher: str | None = None
    teacher_vector: Literal["projected", "pooled"] = "projected"
    freeze: list[str] = []
    pairs: list[PairData] = []
    parallel: list[ParallelData] = []
    temperature: Above0 = 2.0
    augment: AugmentConfig = AugmentConfig()
    live: bool = False
    optimizer: OptimizerConfig = OptimizerConfig()
    batch_size: Positive = 256
    accumulate: Positive = 1
    steps: Positive
    ema: Share = 0.0
    max_logit_scale: Above0 = 100.0
    gradient_checkpointing: bool = False
    checkpoint_every: Positive = 500
    log_every: Positive = 20
    max_bad_share: Share = 0.01
    max_text_tokens: Positive | None = None
    save_dtype: Literal["float32", "float16", "bfloat16"] = "float32"

    @classmethod
    def needs(cls, data: Mapping[str, Any]) -> list[str]:
        kind = data.get("kind")
        if kind == "distill":
            return [f"a distill stage needs `{name}`" for name in ("teacher", "parallel") if not data.get(name)]
        streams = [d for d in data.get("pairs") or [] if isinstance(d, Mapping) and d.get("streaming")]
        problems = [f"a stage of kind {kind} needs `pairs`"] * (not data.get("pairs"))
        if kind == "align" and streams and not data.get("live"):
            problems.append("streams cannot be cached: set `live = true`, or leave out `streaming`")
        return problems

    @field_validator("model")
    @classmethod
    def _known_preset(cls, name: str) -> str:
        if name not in PRESETS:
            raise ValueError(f"no such preset{nearest(name, PRESETS)}")
        return name

    @field_validator("vision", "text")
    @classmethod
    def _known_sizes(cls, sizes: dict[str, Any], info: Any) -> dict[str, Any]:
        known = [field.name for field in fields(VisionConfig if info.field_name == "vision" else TextConfig)]
        if unknown := [name for name in sizes if name not in known]:
            raise ValueError("; ".join(f"no size `{name}`{nearest(name, known)}" for name in unknown))
        return sizes


class TokenizerConfig(Section):
    """A tokenizer to train first (`vocab_size`), or one to take as it is (`path`: a folder or a hub id)."""

    path: str | None = None
    vocab_size: Positive = 12000
    files: list[str] = []
    labels: list[LabelsFile] = []


class Recipe(Section):
    """A whole recipe.

    exclude: values by column, of rows to leave out of every source of pairs that has the column; leave_out_every: leave
    every n-th (class, language) name out of all training text (0: none); workers: threads that make batches; processes:
    how many the estimate of cost counts with, whatever a run has.
    """

    name: str
    seed: Annotated[int, Field(ge=0)] = 0
    precision: Literal["no", "bf16", "fp16"] = "no"
    workers: Positive = 1
    processes: Positive = 1
    exclude: dict[str, list[str]] = {}
    leave_out_every: Annotated[int, Field(ge=0)] = 0
    tokenizer: TokenizerConfig
    stages: Annotated[dict[str, StageConfig], Field(min_length=1)]

    @classmethod
    def needs(cls, data: Mapping[str, Any]) -> list[str]:
        """Names of stages; stages that start from a later one; what the precision demands of a stage."""
        stages = data.get("stages")
        if not isinstance(stages, Mapping):
            return []
        problems = []
        for place, (name, stage) in enumerate(stages.items()):
            if name in ("cache", "tokenizer") or not re.fullmatch(r"[\w-]+", str(name)):
                problems.append(f"stage {name!r} becomes a folder beside `cache` and `tokenizer`: give it a plain name")
            stage = stage if isinstance(stage, Mapping) else {}
            start = stage.get("start") if isinstance(stage.get("start"), Mapping) else {}
            later = {*list(stages)[place:]} & {*map(str, (start or {}).values()), str(stage.get("teacher"))}
            problems += [f"stage {name} takes weights from {other}, which does not come before it" for other in later]
            optimizer = stage.get("optimizer")
            if isinstance(optimizer, Mapping) and optimizer.get("name") == "muon" and data.get("precision") == "fp16":
                problems.append(f"stage {name}: muon does not go with fp16 (two optimizers, one loss scale): take bf16")
        return problems
