"""Patches as latents: exact where all components are kept, the best of their number where not; files that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from altclip.diffusion.patches import PatchAutoencoder
from altclip.errors import CheckpointError, LayoutError


@pytest.fixture
def pixels() -> torch.Tensor:
    """Smooth pictures, (20, 3, 16, 16) in [-1, 1]."""
    coarse = torch.rand(20, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=16, mode="bilinear")


def test_all_components_lose_nothing(pixels: torch.Tensor) -> None:
    vae = PatchAutoencoder.fitted(pixels, 4, 48)
    latents = vae.encode(pixels).latents
    assert latents.shape == (20, 48, 4, 4)
    torch.testing.assert_close(vae.decode(latents).sample, pixels, atol=1e-5, rtol=0)
    (again,) = vae.decode(latents, return_dict=False, generator=None)
    assert torch.equal(again, vae.decode(latents).sample)


@pytest.mark.parametrize("channels", [3, 10])
def test_fewer_lose_what_the_others_hold(channels: int, pixels: torch.Tensor) -> None:
    """Beside numpy's singular values of patches cut by hand: the squared error is the sum of the squared rest."""
    vae = PatchAutoencoder.fitted(pixels, 4, channels)
    lost = (vae.decode(vae.encode(pixels).latents).sample - pixels).double().square().sum()
    cut = pixels.numpy().reshape(20, 3, 4, 4, 4, 4).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 48).astype(np.float64)
    values = np.linalg.svd(cut - cut.mean(0), compute_uv=False)
    assert lost.item() == pytest.approx((values[channels:] ** 2).sum(), rel=1e-3)


def test_scaled_latents_have_deviation_one(pixels: torch.Tensor) -> None:
    vae = PatchAutoencoder.fitted(pixels, 4, 12)
    assert (vae.encode(pixels).latents * vae.config.scaling_factor).std().item() == pytest.approx(1, abs=0.01)
    again = PatchAutoencoder.fitted(pixels, 4, 12)
    assert torch.equal(vae.basis, again.basis)


def test_saved_and_read(pixels: torch.Tensor, tmp_path: Path) -> None:
    vae = PatchAutoencoder.fitted(pixels, 4, 12)
    vae.save_pretrained(tmp_path / "vae")
    read = PatchAutoencoder.from_pretrained(tmp_path / "vae")
    assert torch.equal(read.encode(pixels).latents, vae.encode(pixels).latents)
    assert read.config == vae.config
    assert PatchAutoencoder.from_pretrained(tmp_path / "vae", torch_dtype=torch.float16).dtype == torch.float16


def test_damaged_folders(pixels: torch.Tensor, tmp_path: Path) -> None:
    PatchAutoencoder.fitted(pixels, 4, 12).save_pretrained(tmp_path)
    config, weights = tmp_path / "config.json", tmp_path / "diffusion_pytorch_model.safetensors"
    whole = json.loads(config.read_text())
    for change in ({"patch_size": 8}, {"latent_channels": 7}):
        config.write_text(json.dumps({**whole, **change}))
        with pytest.raises(LayoutError, match="is no PatchAutoencoder"):
            PatchAutoencoder.from_pretrained(tmp_path)
    config.write_text(json.dumps({"patch_size": 4}))
    with pytest.raises(LayoutError, match="is no PatchAutoencoder"):
        PatchAutoencoder.from_pretrained(tmp_path)
    config.write_text(json.dumps(whole))
    weights.write_bytes(weights.read_bytes()[:40])
    with pytest.raises(CheckpointError, match="cannot be read"):
        PatchAutoencoder.from_pretrained(tmp_path)
