"""An image autoencoder without training: the first principal components of square patches, a linear map and back.

It stands where Stable Diffusion has its `vae`, and costs next to nothing. diffusers' pipelines see what they look up of
an AutoencoderKL (`config.scaling_factor`, `encode`, `decode`). Drawings of few colours lose little by it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from altclip.checkpoints.weights import read_json
from altclip.errors import CheckpointError, LayoutError

CLASS: Final = "PatchAutoencoder"
_CONFIG: Final = "config.json"
_WEIGHTS: Final = "diffusion_pytorch_model.safetensors"
_TENSORS: Final = ("mean", "basis")


class PatchAutoencoder(nn.Module):
    """Pixels (B, 3, H, W) in [-1, 1] as latents (B, C, H / patch, W / patch), and back.

    mean (P,), basis (P, C): of patches of P = 3 * patch ** 2 values; the columns are orthonormal. Latents times
    `scaling_factor` have standard deviation one over all of them.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, patch: int, channels: int, scaling_factor: float = 1.0) -> None:
        super().__init__()
        self.patch = patch
        self.register_buffer("mean", torch.zeros(3 * patch**2))
        self.register_buffer("basis", torch.eye(3 * patch**2, channels))
        self.config = SimpleNamespace(
            _class_name=CLASS, patch_size=patch, latent_channels=channels, scaling_factor=scaling_factor,
            in_channels=3, out_channels=3, force_upcast=False,
            block_out_channels=(channels,) * (round(math.log2(patch)) + 1),  # pipelines count these for the factor
        )  # fmt: skip

    @classmethod
    def fitted(cls, pixels: Tensor, patch: int, channels: int) -> Self:
        """Of images (B, 3, H, W) in [-1, 1]: the components that hold most of their patches' variance."""
        made = cls(patch, channels)
        patches_NP = pixel_unshuffle(pixels.double(), patch).movedim(1, -1).flatten(0, 2)
        mean = patches_NP.mean(0)
        _, vectors = torch.linalg.eigh((patches_NP - mean).T @ (patches_NP - mean))  # from the least to the largest
        basis = vectors.flip(1)[:, :channels]
        made.mean.copy_(mean)
        made.basis.copy_(basis * basis.sum(0).sign())  # of the two signs one, so that a fit can be repeated
        made.config.scaling_factor = 1 / float(((patches_NP - mean) @ basis).std())
        return made

    def encode(self, pixels: Tensor) -> SimpleNamespace:
        """`latents` of pixels, before scaling."""
        patches = pixel_unshuffle(pixels, self.patch).movedim(1, -1)
        return SimpleNamespace(latents=((patches - self.mean) @ self.basis).movedim(-1, 1))

    def decode(self, latents: Tensor, return_dict: bool = True, generator: object = None) -> Any:  # noqa: ARG002
        """`sample`, the pixels of latents, or a tuple of it with `return_dict=False`."""
        patches = latents.movedim(1, -1) @ self.basis.T + self.mean
        pixels = pixel_shuffle(patches.movedim(-1, 1), self.patch)
        return SimpleNamespace(sample=pixels) if return_dict else (pixels,)

    def enable_tiling(self) -> None:
        """As AutoencoderKL has it; this one needs no memory to speak of, and does without."""

    disable_tiling = enable_slicing = disable_slicing = enable_tiling

    @property
    def dtype(self) -> torch.dtype:
        return self.basis.dtype

    @property
    def device(self) -> torch.device:
        return self.basis.device

    def save_pretrained(self, folder: str | Path, **_options: Any) -> None:
        """Write the folder that a pipeline keeps as its `vae`."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        (target / _CONFIG).write_text(json.dumps(vars(self.config), indent=2) + "\n", encoding="utf-8")
        save_file({name: getattr(self, name).contiguous() for name in _TENSORS}, target / _WEIGHTS)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, torch_dtype: torch.dtype = torch.float32) -> Self:
        """From such a folder. Raises LayoutError, CheckpointError for one that is another's or damaged."""
        source = Path(folder)
        config = read_json(source / _CONFIG)
        try:
            made = cls(config["patch_size"], config["latent_channels"], config["scaling_factor"])
            made.load_state_dict({name: tensor.float() for name, tensor in load_file(source / _WEIGHTS).items()})
        except (KeyError, TypeError, RuntimeError) as error:
            raise LayoutError(f"{source} is no {CLASS} ({error}): fetch the folder again") from error
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{source / _WEIGHTS} cannot be read ({error}): fetch the folder again") from error
        return made.to(torch_dtype)
