"""The model definitions by themselves: configurations, heads, refusals, sizes, initialisation."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from altclip.checkpoints.opening import without_memory
from altclip.errors import UsageError
from altclip.models import (
    HEADS,
    PRESETS,
    DualEncoder,
    Head,
    ModelConfig,
    ModelOutput,
    TextConfig,
    VisionConfig,
    heads_of,
    initialise,
    preset,
)
from altclip.models.layers import explicit_attention

SIZES: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = TextConfig(**SIZES, vocab_size=20, max_position_embeddings=12, project_dim=12)
VISION = VisionConfig(**SIZES, image_size=16, patch_size=8)
CONFIG = ModelConfig(vision=VISION, text=TEXT, projection_dim=8)
IDS = torch.tensor([[0, 5, 6, 2], [0, 7, 2, 1]])


def model(**changes: Any) -> DualEncoder:
    torch.manual_seed(0)
    return initialise(DualEncoder(replace(CONFIG, **changes))).eval()


@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_survives_json(name: str) -> None:
    config = preset(name)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_keys_of_a_configuration_are_passed_over() -> None:
    assert TextConfig.from_dict({"hidden_size": 32, "use_cache": True}) == TextConfig(hidden_size=32)


def test_one_tower_may_be_absent() -> None:
    config = ModelConfig(vision=None, text=TEXT)
    assert ModelConfig.from_dict(config.to_dict()) == config


def parameters(name: str) -> int:
    with without_memory():
        return sum(p.numel() for p in DualEncoder(preset(name)).parameters())


@pytest.mark.parametrize(("name", "millions"), [("altclip", 864), ("altclip-m9", 864), ("clip-vit-l-14", 427)])
def test_presets_have_their_published_size(name: str, millions: int) -> None:
    assert parameters(name) // 1_000_000 == millions


def test_mini_fits_into_the_package() -> None:
    assert parameters("mini") * torch.float16.itemsize < 20_000_000


def test_the_longest_text() -> None:
    assert TextConfig().max_length == 512  # of 514 rows
    assert preset("clip-vit-l-14").text.max_length == 77  # type: ignore[union-attr]
    assert TextConfig(architecture="bert", max_position_embeddings=512, pad_token_id=0).max_length == 512


@pytest.mark.parametrize("heads", [3, 0, -1])
def test_a_width_must_divide_into_its_heads(heads: int) -> None:
    with pytest.raises(UsageError, match=f"hidden_size 16 does not divide into {heads}"):
        VisionConfig(hidden_size=16, num_attention_heads=heads)


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(UsageError, match=r"'altclp'.*altclip-m9"):
        preset("altclp")
    with pytest.raises(UsageError, match=r"'chines-clip'.*chinese-clip"):
        heads_of("chines-clip")
    with pytest.raises(UsageError, match=r"'swish'.*quick_gelu"):
        DualEncoder(replace(CONFIG, vision=replace(VISION, hidden_act="swish")))
    with pytest.raises(UsageError, match=r"'diffusion'.*retrieval"):
        model().encode_text(IDS, head="diffusion")
    with pytest.raises(UsageError, match="has none"):
        model(heads={}).encode_text(IDS)


def test_an_absent_tower_is_named() -> None:
    with pytest.raises(UsageError, match=r"no image tower.*image_weights"):
        model(vision=None).encode_image(torch.zeros(1, 3, 16, 16))
    with pytest.raises(UsageError, match="no text tower"):
        model(text=None).encode_text(IDS)


def test_a_text_over_the_limit_is_refused_with_the_limit() -> None:
    within = torch.full((1, 10), 5)
    assert model().encode_text(within).shape == (1, 8)
    with pytest.raises(UsageError, match=r"11 tokens for a model of at most 10.*truncate"):
        model().encode_text(torch.full((1, 11), 5))


@pytest.mark.parametrize(("size", "interpolate"), [((24, 24), False), ((16, 24), False), ((7, 16), True)])
def test_an_image_of_another_size_is_refused(size: tuple[int, int], interpolate: bool) -> None:
    with pytest.raises(UsageError, match=r"model of 16x16: resize.*sides of at least 8"):
        model().encode_image(torch.zeros(1, 3, *size), interpolate=interpolate)


def test_every_family_of_heads_gives_its_shape() -> None:
    """One row of data each; what the rows mean against the originals is tested where these are read."""
    for family in HEADS:
        if family == "clip":
            continue
        encoder = model(heads=heads_of(family))
        for name, head in encoder.config.heads.items():
            width = 8 if head.projection else 12 if head.linear else 16
            features = encoder.encode_text(IDS, (IDS != 1).long(), name)
            assert features.shape == ((2, 4, width) if head.tokens == "all" else (2, width)), (family, name)


def test_heads_that_name_the_same_module_share_it() -> None:
    both = {**heads_of("altclip"), **heads_of("altdiffusion")}
    encoder = model(heads=both)
    assert list(encoder.text.linears) == ["transformation"]
    h = encoder.text.tower(IDS)
    assert torch.allclose(encoder.encode_text(IDS, head="diffusion"), encoder.text.linears["transformation"](h))
    for parameter in encoder.text.norms.parameters():  # the last state has been normalised once already
        torch.nn.init.normal_(parameter)
    unnormed = encoder.text.projections["text_projection"](encoder.encode_text(IDS, head="diffusion")[:, 0])
    assert not torch.allclose(unnormed, encoder.encode_text(IDS), atol=1e-2)


def test_the_m18_diffusion_head_reads_the_state_before_the_last() -> None:
    encoder = model(heads=heads_of("altclip-m18"))
    states, _ = encoder.text.tower.states(IDS)
    expected = encoder.text.linears["transformation_pre"](encoder.text.norms["pre_LN"](states[-2]))
    assert torch.allclose(encoder.encode_text(IDS, head="diffusion"), expected, atol=1e-6)


def test_all_tokens_of_a_head_begin_with_the_feature_before_projection() -> None:
    head = Head(norm="pre_LN", linear="transformation", projection="text_projection")
    assert head.all_tokens() == Head(norm="pre_LN", linear="transformation", tokens="all")


def test_a_text_of_padding_alone_gives_finite_features() -> None:
    ids = torch.ones(2, 4, dtype=torch.long)
    assert model().encode_text(ids, torch.zeros_like(ids)).isfinite().all()


def test_attention_written_out_equals_the_fused_one() -> None:
    torch.manual_seed(1)
    q, k, v = (torch.randn(2, 2, 5, 8) for _ in range(3))
    mask = torch.rand(2, 1, 1, 5) > 0.3
    mask[..., 0] = True
    fused = torch.nn.functional.scaled_dot_product_attention(q, k, v, mask)
    written, weights = explicit_attention(q, k, v, mask, 0.0)
    assert torch.allclose(written, fused, atol=1e-6)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 2, 5))
    assert (weights.masked_select(~mask.expand_as(weights)) == 0).all()


def test_dropout_acts_in_training_only() -> None:
    encoder = model(text=replace(TEXT, hidden_dropout_prob=0.5))
    assert torch.equal(encoder.encode_text(IDS), encoder.encode_text(IDS))
    encoder.train()
    assert not torch.equal(encoder.encode_text(IDS), encoder.encode_text(IDS))


def test_initialisation_is_of_the_seed_and_of_the_sizes_of_the_originals() -> None:
    wide = replace(CONFIG, vision=replace(VISION, hidden_size=64), text=replace(TEXT, hidden_size=64, vocab_size=500))
    torch.manual_seed(0)
    first = initialise(DualEncoder(wide))
    torch.manual_seed(0)
    second = initialise(DualEncoder(wide))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    text, vision = first.text.tower, first.vision
    assert text.words.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert text.words.weight[1].abs().sum() == text.positions.weight[1].abs().sum() == 0
    assert vision.class_embedding.std().item() == pytest.approx(64**-0.5, rel=0.3)
    assert first.visual_projection.weight.std().item() == pytest.approx(64**-0.5, rel=0.2)
    assert first.logit_scale.item() == pytest.approx(2.6592)
    for module in first.modules():
        if isinstance(module, torch.nn.LayerNorm):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


def test_gradient_checkpointing_is_switched_for_both_towers() -> None:
    encoder = model()
    for on in (True, False):
        encoder.set_gradient_checkpointing(on)
        assert encoder.vision.layers.gradient_checkpointing is on
        assert encoder.text.tower.layers.gradient_checkpointing is on


def test_outputs_by_attribute_key_and_index() -> None:
    output = ModelOutput(loss=None, logits=torch.ones(1), states=(torch.zeros(1),))
    assert output.loss is None
    assert output["logits"] is output.logits is output[0]
    assert list(output) == ["logits", "states"]
    assert output.to_tuple() == (output.logits, output.states)
    assert output[-1] == output.states
    assert [len(part) for part in output[:2]] == [1, 1]
    with pytest.raises(KeyError):
        output["loss"]
    with pytest.raises(AttributeError, match=r"'logit'.*logits, states"):
        _ = output.logit
    assert not hasattr(output, "_private")


def test_clip_towers_are_drawn_as_openai_draws_them() -> None:
    """Widths shrink with width and depth; positions are half as wide as words."""
    wide = replace(TEXT, hidden_size=128, intermediate_size=512, vocab_size=500, max_position_embeddings=77)
    text = replace(wide, architecture="clip")
    torch.manual_seed(0)
    encoder = initialise(DualEncoder(replace(CONFIG, text=text, heads=heads_of("clip"))))
    tower = encoder.text.tower
    layer: Any = tower.layers[1]
    assert tower.positions.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert tower.words.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert tower.words.padding_idx is None
    expected = {
        "attention.query": 128**-0.5,
        "attention.output": 128**-0.5 * 4**-0.5,
        "expand": 256**-0.5,
        "contract": 128**-0.5 * 4**-0.5,
    }
    for name, std in expected.items():
        assert layer.get_submodule(name).weight.std().item() == pytest.approx(std, rel=0.05), name


def test_checkpointing_of_a_model_with_one_tower() -> None:
    for absent in ("vision", "text"):
        model(**{absent: None}).set_gradient_checkpointing()
