"""What a recipe may say: one pydantic model a section, unknown keys refused, paths relative to `--data`.

A recipe is a list of stages that run in order, each from the weights the ones before left behind.
"""

# ruff: noqa: RUF012 - pydantic copies defaults; ruff does not see that a Section is a pydantic model

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from altclip.mistakes import nearest
from altclip.models import PRESETS, TextConfig, VisionConfig
from altclip.train.config_data import DataConfig, LabelsFile, PairData, ParallelData, names_need_a_file
from altclip.train.config_pictures import OF_THE_STAGE, DenoiseConfig
from altclip.train.sections import Above0, Pattern, Positive, Section, Share


class AugmentConfig(Section):
    """scale: share of the image's area that a crop keeps; flip: chance of mirroring.

    sizes: [share of the steps, side in pixels], after the last the model's own.
    """

    scale: tuple[Share, Share] = (0.5, 1.0)
    flip: Share = 0.5
    sizes: list[tuple[Share, Positive]] = []


class OptimizerConfig(Section):
    """AdamW for all, or Muon for the matrices of layers (and of a UNet's blocks) with AdamW for the rest. Decay spares
    norms and biases.

    groups: pattern of parameter names -> factor on the learning rate, the first that matches counts. layer_decay:
    factor on the rate of each layer of a tower against the layer above it. `trapezoid` holds the rate and lets it fall
    linearly over the last `decay_share` of the steps.
    """

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: Above0 = 1e-3
    matrix_learning_rate: Above0 = 0.02
    betas: tuple[Share, Share] = (0.9, 0.98)
    eps: Above0 = 1e-6
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    groups: dict[Pattern, float] = {}
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    clip_norm: Above0 | None = 1.0
    schedule: Literal["cosine", "linear", "constant", "trapezoid"] = "cosine"
    decay_share: Share = 0.2
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    final_share: Share = 0.0


class LoraConfig(Section):
    """Low-rank adapters (Hu et al. 2021): weight + alpha / rank * B A, of which only A and B are trained.

    target: pattern of the names of linear maps; of those, the ones that the stage holds still are passed over.
    merge: leave an ordinary model too, beside the adapter.
    """

    rank: Positive = 8
    alpha: Above0 = 16.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target: Pattern = r"\.layers\.\d+\.attention\.(query|value)$"
    merge: bool = False


class StageConfig(Section):
    """One stage.

    model: the preset that gives the sizes. Without one they are those of the model that the stage starts from.
    start: weights to begin from by part (image, text, all): an earlier stage, a folder or a hub id. Of a denoise stage
    `text` is the model whose tokens it draws from (the recipe's `model` if not given), and `unet` what draws.
    """

    kind: Literal["contrastive", "distill", "align", "denoise"]
    model: str | None = None
    vision: dict[str, Any] = {}
    text: dict[str, Any] = {}
    projection_dim: Positive | None = None
    start: dict[Literal["image", "text", "all", "unet"], str] = {}
    teacher: str | None = None
    teacher_vector: Literal["projected", "pooled"] = "projected"
    freeze: list[Pattern] = []
    lora: LoraConfig | None = None
    pairs: list[PairData] = []
    parallel: list[ParallelData] = []
    temperature: Above0 = 2.0
    augment: AugmentConfig = AugmentConfig()
    live: bool = False
    denoise: DenoiseConfig | None = None
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
        if (kind == "denoise") != (data.get("denoise") is not None):
            problems.append("a stage of kind denoise, and no other, needs the table `denoise`")
        if kind == "denoise":
            vain = [name for name in ("model", "vision", "text", "projection_dim", "lora") if data.get(name)]
            problems += [f"a denoise stage has no `{name}`: its sizes are those of `denoise`" for name in vain]
            later = "unet" in _table(data.get("start"))
            sized = set(_table(data.get("denoise"))) - OF_THE_STAGE if later else set()
            problems += [f"`denoise.{name}` is that of `start.unet`: leave it out" for name in sorted(sized)]
        return problems

    @field_validator("model")
    @classmethod
    def _known_preset(cls, name: str | None) -> str | None:
        if name is not None and name not in PRESETS:
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

    @classmethod
    def needs(cls, data: Mapping[str, Any]) -> list[str]:
        labels = data.get("labels")
        return [text for file in labels for text in names_need_a_file(file)] if isinstance(labels, list) else []


class Recipe(Section):
    """A whole recipe.

    model: what to fine-tune, anything that `Encoder` opens. A stage without `model` and `start` begins with it (one
    that draws takes its texts from it), and without `tokenizer` its tokenizer is taken.
    exclude: values by column, of rows to leave out of every source of pairs that has the column; leave_out_every: leave
    every n-th (class, language) name out of all training text (0: none); workers: threads that make batches; processes:
    how many the estimate of cost counts with, whatever a run has. compile: with `torch.compile`, anew for each shape of
    a batch, so for stages of one shape (`denoise`); it needs a C++ compiler and minutes at the start of a stage.
    """

    name: str
    seed: Annotated[int, Field(ge=0)] = 0
    precision: Literal["no", "bf16", "fp16"] = "no"
    compile: bool = False
    workers: Positive = 1
    processes: Positive = 1
    model: str | None = None
    data: DataConfig = DataConfig()
    exclude: dict[str, list[str]] = {}
    leave_out_every: Annotated[int, Field(ge=0)] = 0
    tokenizer: TokenizerConfig | None = None
    stages: Annotated[dict[str, StageConfig], Field(min_length=1)]

    @classmethod
    def needs(cls, data: Mapping[str, Any]) -> list[str]:
        """The tokenizer; names of stages; what each starts from; what the precision demands of a stage."""
        problems = ["give `tokenizer`, or a `model` to start from"] * (
            not data.get("tokenizer") and not data.get("model")
        )
        stages = data.get("stages")
        if not isinstance(stages, Mapping):
            return problems
        names = list(stages)
        return problems + [
            problem
            for place, (name, stage) in enumerate(stages.items())
            for problem in (
                *_misnamed(name),
                *_start_problems(name, _table(stage), {other: stages[other] for other in names[:place]}, names[place:]),
                *_unsized(name, _table(stage), data),
                *_muon_with_scale(name, _table(stage), data),
            )
        ]

    @model_validator(mode="before")
    @classmethod
    def _starts(cls, data: Any) -> Any:
        """A stage without sizes and weights of its own begins with the recipe's model."""
        if not isinstance(data, Mapping) or not data.get("model") or not isinstance(data.get("stages"), Mapping):
            return data
        stages = {name: _begun(stage, data["model"]) for name, stage in data["stages"].items()}
        return {**data, "stages": stages}


def _begun(stage: Any, model: Any) -> Any:
    """A stage that says nothing of its weights, with the recipe's model; one that draws, with that model's text."""
    if not isinstance(stage, Mapping) or stage.get("model"):
        return stage
    if stage.get("kind") == "denoise":
        return {**stage, "start": {"text": model, **_table(stage.get("start"))}}
    return stage if stage.get("start") else {**stage, "start": {"all": model}}


def _table(value: Any) -> Mapping[str, Any]:
    """A table of a raw recipe, empty where something else stands."""
    return value if isinstance(value, Mapping) else {}


def _misnamed(name: Any) -> list[str]:
    if name not in ("cache", "tokenizer") and re.fullmatch(r"[\w-]+", str(name)):
        return []
    return [f"stage {name!r} becomes a folder beside `cache` and `tokenizer`: give it a plain name"]


def _start_problems(name: str, stage: Mapping[str, Any], earlier: Mapping[str, Any], later: list[str]) -> list[str]:
    """Stages whose weights are not there yet, or never."""
    sources = {*map(str, _table(stage.get("start")).values()), str(stage.get("teacher"))}
    alone = [other for other in earlier if _table(earlier[other]).get("lora") is not None]
    alone = [other for other in alone if not _table(_table(earlier[other])["lora"]).get("merge")]
    return [
        *(f"stage {name} takes weights from {o}, which does not come before it" for o in later if o in sources),
        *(
            f"stage {name} takes weights from {o}, which leaves an adapter alone: set lora.merge = true there"
            for o in alone
            if o in sources
        ),
    ]


def _unsized(name: str, stage: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[str]:
    start = _table(stage.get("start"))
    if stage.get("kind") == "denoise":
        return _wordless(name, start, recipe)
    if stage.get("model") or recipe.get("model") or start.get("all") or (start.get("image") and start.get("text")):
        return []
    return [
        f"stage {name} needs `model` (a preset), or `start` with `all` or with `image` and `text`, or the recipe a "
        "`model` to start from"
    ]


def _wordless(name: str, start: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[str]:
    wrong = [part for part in ("image", "all") if part in start]
    problems = [f"stage {name} draws, and starts from `text` and `unet`, not from {', '.join(wrong)}"] * bool(wrong)
    if not (start.get("text") or recipe.get("model")):
        problems.append(f"stage {name} needs `start.text`, the model of its texts, or the recipe a `model`")
    return problems


def _muon_with_scale(name: str, stage: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[str]:
    if _table(stage.get("optimizer")).get("name") != "muon" or recipe.get("precision") != "fp16":
        return []
    return [f"stage {name}: muon does not go with fp16 (two optimizers, one loss scale): take bf16"]
