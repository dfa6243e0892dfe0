"""Groups, schedules, Muon, averages."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from altclip.errors import UsageError
from altclip.train.config import OptimizerConfig
from altclip.train.config_pictures import DenoiseConfig
from altclip.train.loop import update_averages
from altclip.train.optimizers import Muon, build_optimizers, orthogonalised, rate_factor, set_rates
from altclip.train.stages.build import empty_model
from altclip.train.stages.drawing import new_unet
from tests.train import made


def config(**changes: Any) -> OptimizerConfig:
    return OptimizerConfig.model_validate(changes)


def model() -> nn.Module:
    with torch.no_grad():
        return empty_model(made.recipe().stages["teacher"]).to_empty(device="cpu")


def rates(optimizers: list[torch.optim.Optimizer], named: nn.Module) -> dict[str, tuple[float, float]]:
    """Learning rate and decay of each parameter, by name."""
    names = {id(weight): name for name, weight in named.named_parameters()}
    return {
        names[id(weight)]: (group["lr"], group["weight_decay"])
        for optimizer in optimizers
        for group in optimizer.param_groups
        for weight in group["params"]
    }


def test_decay_spares_norms_biases_and_the_scale() -> None:
    network = model()
    found = rates(build_optimizers(network, config(learning_rate=0.1, weight_decay=0.3)), network)
    assert found["logit_scale"] == (0.1, 0.0)
    assert found["vision.layers.0.norm1.weight"] == (0.1, 0.0)
    assert found["text.tower.layers.1.expand.bias"] == (0.1, 0.0)
    assert found["text.tower.layers.1.expand.weight"] == (0.1, 0.3)
    assert found.keys() == {name for name, _ in network.named_parameters()}


def test_groups_by_pattern_the_first_counts() -> None:
    network = model()
    groups = {r"^text\.": 0.1, r"layers\.0\.": 0.5}
    found = rates(build_optimizers(network, config(learning_rate=1.0, groups=groups)), network)
    assert found["text.tower.layers.0.expand.weight"][0] == pytest.approx(0.1)
    assert found["vision.layers.0.expand.weight"][0] == pytest.approx(0.5)
    assert found["vision.layers.1.expand.weight"][0] == pytest.approx(1.0)


def test_a_pattern_in_vain_is_refused() -> None:
    network = model()
    with pytest.raises(UsageError, match=r"no trained parameter matches \^txt"):
        build_optimizers(network, config(groups={"^txt": 0.1}))
    network.get_submodule("vision").requires_grad_(False)
    with pytest.raises(UsageError, match="no trained parameter matches vision"):
        build_optimizers(network, config(groups={"vision": 0.1}))


def test_frozen_weights_are_in_no_group() -> None:
    network = model()
    network.get_submodule("vision").requires_grad_(False)
    assert not any(name.startswith("vision.") for name in rates(build_optimizers(network, config()), network))


def test_muon_takes_the_matrices_of_the_layers() -> None:
    network = model()
    rest, muon = build_optimizers(network, config(name="muon", learning_rate=0.1, matrix_learning_rate=0.7))
    assert isinstance(muon, Muon)
    of_muon, of_rest = rates([muon], network), rates([rest], network)
    assert {rate for rate, _ in of_muon.values()} == {0.7}
    assert all(".layers." in name and name.endswith("weight") for name in of_muon)
    assert "text.tower.words.weight" in of_rest
    assert of_muon.keys() | of_rest.keys() == {name for name, _ in network.named_parameters()}


def test_muon_takes_the_matrices_of_a_unets_blocks() -> None:
    """Convolutions too; not what reads the latents, the level of noise and the result."""
    pytest.importorskip("diffusers", reason="needs the extra diffusion")
    sizes = DenoiseConfig(side=16, patch=4, channels=12, widths=[8, 16], attention=[False, True], head_dim=8, groups=4)
    network = nn.ModuleDict({"unet": new_unet(sizes, 8)})
    _, muon = build_optimizers(network, config(name="muon"))
    names = rates([muon], network).keys()
    assert {name.split(".")[1] for name in names} == {"down_blocks", "mid_block", "up_blocks"}
    assert "unet.down_blocks.0.resnets.0.conv1.weight" in names
    matrices = {name for name, weight in network.named_parameters() if weight.ndim > 1}
    assert {name.split(".")[1] for name in matrices - names} == {"conv_in", "time_embedding", "conv_out"}


def test_a_convolution_is_a_matrix_of_its_outputs() -> None:
    matrix = nn.Parameter(torch.randn(6, 18, generator=torch.Generator().manual_seed(1)))
    kernel = nn.Parameter(matrix.detach().clone().view(6, 2, 3, 3))
    optimizers = [Muon([weight], lr=0.05, weight_decay=0.1) for weight in (matrix, kernel)]
    for step in range(3):
        matrix.grad = torch.randn(6, 18, generator=torch.Generator().manual_seed(10 + step))
        kernel.grad = matrix.grad.view_as(kernel)
        for optimizer in optimizers:
            optimizer.step()
    assert torch.equal(kernel.view_as(matrix), matrix)


@pytest.mark.parametrize("shape", [(8, 8), (5, 12), (12, 5)])
def test_orthogonalised_brings_singular_values_near_one(shape: tuple[int, int]) -> None:
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrices))
    assert values.shape[-1] == min(shape)
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_muon_does_as_torch_does() -> None:
    """torch's own Muon computes in bfloat16, so it agrees to its precision."""
    weights = [nn.Parameter(torch.randn(6, 9, generator=torch.Generator().manual_seed(1))) for _ in range(2)]
    ours = Muon([weights[0]], lr=0.05, weight_decay=0.1, momentum=0.95)
    theirs = torch.optim.Muon([weights[1]], lr=0.05, weight_decay=0.1, momentum=0.95, adjust_lr_fn="original")
    for step in range(4):
        for weight in weights:
            weight.grad = torch.randn(6, 9, generator=torch.Generator().manual_seed(10 + step))
        ours.step()
        theirs.step()
    torch.testing.assert_close(weights[0], weights[1], atol=6e-3, rtol=0.05)


def test_schedules() -> None:
    settings = {"warmup_steps": 10, "final_share": 0.1}
    cosine, linear, constant, trapezoid = (
        config(schedule=name, **settings) for name in ("cosine", "linear", "constant", "trapezoid")
    )
    for schedule in (cosine, linear, constant, trapezoid):
        assert [rate_factor(step, 110, schedule) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
        assert rate_factor(10, 110, schedule) == pytest.approx(1.0)
    assert rate_factor(60, 110, cosine) == pytest.approx(0.55)
    assert rate_factor(35, 110, cosine) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)
    assert rate_factor(60, 110, linear) == pytest.approx(0.55)
    assert rate_factor(109, 110, constant) == 1.0
    assert rate_factor(89, 110, trapezoid) == 1.0
    assert rate_factor(100, 110, trapezoid) == pytest.approx(0.1 + 0.9 * 0.5)
    for schedule in (cosine, linear, trapezoid):
        assert 0.1 < rate_factor(109, 110, schedule) < 0.2


def test_without_warm_up_it_starts_at_the_top() -> None:
    assert rate_factor(0, 10, config(warmup_steps=0)) == 1.0


def test_rates_are_set_on_all_groups() -> None:
    network = model()
    optimizers = build_optimizers(network, config(name="muon", learning_rate=1.0, groups={"^text": 0.5}))
    set_rates(optimizers, 0.1)
    set_rates(optimizers, 0.2)  # of the group's own rate, not of the last one
    assert rates(optimizers, network)["text.tower.words.weight"][0] == pytest.approx(0.1)
    assert rates(optimizers, network)["vision.layers.0.expand.weight"][0] == pytest.approx(0.02 * 0.2)


def test_averages_follow_the_weights_quick_at_first() -> None:
    layer = nn.Linear(2, 2)
    averages = {name: torch.zeros_like(weight) for name, weight in layer.named_parameters()}
    expected: dict[str, Tensor] = {name: value.clone() for name, value in averages.items()}
    for step, decay in ((0, 0.1), (1, 2 / 11), (100_000, 0.99)):
        update_averages(averages, layer, 0.99, step)
        expected = {name: decay * value + (1 - decay) * layer.get_parameter(name) for name, value in expected.items()}
        for name, value in averages.items():
            torch.testing.assert_close(value, expected[name])
            assert not value.requires_grad
