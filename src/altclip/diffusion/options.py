"""How pictures are made: every choice with its limits, and the samplers by the names that people use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from altclip.errors import UsageError
from altclip.mistakes import nearest, problems_of

MULTIPLE: Final = 8  # of pixels: a latent is as many across
GUIDANCE: Final = 7.5  # where neither options nor model say anything; diffusers' and FlagAI's
LARGEST_SEED: Final = 2**32 - 1


@dataclass(frozen=True)
class Sampler:
    """A scheduler of diffusers. usual: settings where a model's own say nothing; always: those that must hold."""

    scheduler: str
    usual: Mapping[str, Any]
    always: Mapping[str, Any]


# As CompVis and FlagAI have them: a last step to the first noise level, not to none, and no clipping of latents. The
# defaults of diffusers' classes are those of other models.
_COMPVIS: Final = {"steps_offset": 1, "set_alpha_to_one": False, "timestep_spacing": "leading"}
SAMPLERS: Final[dict[str, Sampler]] = {
    "ddim": Sampler("DDIMScheduler", _COMPVIS, {"clip_sample": False}),
    "plms": Sampler("PNDMScheduler", _COMPVIS, {"skip_prk_steps": True}),
    "dpm++": Sampler("DPMSolverMultistepScheduler", {}, {"algorithm_type": "dpmsolver++", "solver_order": 2}),
}
_ALSO: Final = {"pndm": "plms", "dpmsolver++": "dpm++", "dpm-solver++": "dpm++"}


def _sampler(name: str) -> str:
    known = _ALSO.get(name.lower(), name.lower())
    if known not in SAMPLERS:
        raise ValueError(f"no such sampler{nearest(known, SAMPLERS)}")
    return known


def _side(pixels: int) -> int:
    if pixels % MULTIPLE:
        raise ValueError(no_multiple(pixels, MULTIPLE))
    return pixels


def no_multiple(pixels: int, of: int) -> str:
    """What is wrong with a side of so many pixels, and what to take."""
    below = pixels // of * of
    near = [side for side in (below, below + of) if side]
    near.sort(key=lambda side: abs(side - pixels))
    others = f" or {near[1]}" if len(near) > 1 else ""
    return f"no multiple of {of}; the nearest is {near[0]}{others}"


Side = Annotated[int, Field(ge=1, le=8192), AfterValidator(_side)]


class Options(BaseModel):
    """What a call of `generate` may say; what it does not, these defaults do, which are diffusers' and FlagAI's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    negative_prompt: str = Field(default="", description="what the pictures should not show")
    number: int = Field(default=1, ge=1, le=10_000, description="pictures for each prompt")
    seed: int | None = Field(
        default=None,
        ge=0,
        le=LARGEST_SEED,
        description="of a prompt's first picture, then one more; left out: drawn",
    )
    steps: int = Field(default=50, ge=1, le=1000, description="of denoising")
    sampler: Annotated[str, AfterValidator(_sampler)] | None = Field(
        default=None, description=f"{', '.join(SAMPLERS)}; left out: the model's own"
    )
    guidance: float | None = Field(
        default=None,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description=f"how closely to follow the prompt; to 1: not at all; left out: the model's own, or {GUIDANCE}",
    )
    height: Side | None = Field(default=None, description="in pixels; left out: the model's own, or the image's")
    width: Side | None = Field(default=None, description="in pixels")
    strength: float = Field(
        default=0.8, gt=0, le=1, allow_inf_nan=False, description="with an image: how much of it may change"
    )
    eta: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False, description="fresh noise in each step of ddim")
    batch: int = Field(default=1, ge=1, le=256, description="pictures that are drawn at once")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Options from names and values; texts are read as numbers where these are meant.

        Raises:
            UsageError: with every mistake.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise UsageError(_said(problems_of(error, cls, "the options"))) from error

    def check_seeds(self, seed: int) -> None:
        """Raise UsageError where the last picture's seed is out of range."""
        if seed + self.number - 1 > LARGEST_SEED:
            raise UsageError(
                f"seed {seed} with number {self.number} needs seeds over {LARGEST_SEED}, the largest: "
                "take a smaller one"
            )

    def check_strength(self) -> None:
        """Raise UsageError where so little of an image may change that no step is left, which diffusers cannot do."""
        if int(self.steps * self.strength) < 1:
            enough, least = math.ceil(1 / self.strength), math.ceil(1000 / self.steps) / 1000
            raise UsageError(
                f"strength {self.strength:g} of {self.steps} step(s) leaves none to draw: take {enough} steps or more, "
                f"or strength {least:g} or more"
            )


def _said(problems: Sequence[str]) -> str:
    return problems[0] if len(problems) == 1 else "\n".join(["several options are wrong:", *problems])
