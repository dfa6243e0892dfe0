"""AltDiffusion: pictures from words of many languages. diffusers draws them; the conditioning on text is ours."""

from altclip.diffusion.conditioning import AltDiffusionTextEncoder
from altclip.diffusion.generating import Cancelled, Progress, PromptCut, generate
from altclip.diffusion.options import SAMPLERS, Options
from altclip.diffusion.pictures import Picture, grid, read_parameters
from altclip.diffusion.pipelines import (
    AltDiffusionImg2ImgPipeline,
    AltDiffusionPipeline,
    SafetyNotice,
    open_pipeline,
    save_pipeline,
)

__all__ = [
    "SAMPLERS",
    "AltDiffusionImg2ImgPipeline",
    "AltDiffusionPipeline",
    "AltDiffusionTextEncoder",
    "Cancelled",
    "Options",
    "Picture",
    "Progress",
    "PromptCut",
    "SafetyNotice",
    "generate",
    "grid",
    "open_pipeline",
    "read_parameters",
    "save_pipeline",
]
