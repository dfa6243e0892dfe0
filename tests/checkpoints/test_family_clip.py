"""CLIP in OpenAI's names equals transformers' CLIPModel: open_clip's folders, and state dicts without configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from altclip.checkpoints import load_model, load_with_report, open_checkpoint, resolve, save_model
from altclip.checkpoints.layouts.open_clip import OPEN_CLIP, OPENAI
from altclip.checkpoints.opening import without_memory
from altclip.encoder import Encoder, describe
from altclip.errors import LayoutError, UnsafeFileError, WeightsError
from altclip.models import DualEncoder, preset
from altclip.processing import ImageProcessor
from tests.checkpoints.fake_hub import serving
from tests.checkpoints.openai_names import assert_same_features, clip_state, written
from tests.checkpoints.test_hub import files, point_to
from tests.checkpoints.test_round_trip import opened_by_transformers
from tests.models import oracles
from tests.processing.tiny import merges_folder

ROOT = Path(__file__).parent.parent
END = 98
MODEL = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 30, "layers": 2, "width": 36, "head_width": 12, "patch_size": 6, "mlp_ratio": 2.0},
    "text_cfg": {"context_length": 40, "vocab_size": 99, "width": 32, "heads": 4, "layers": 3, "mlp_ratio": 1.5},
}
PREPROCESSING = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic", "resize_mode": "shortest"}


def peer(*, act: str = "quick_gelu", width: int = 36, heads: int = 3, text: int = 32, text_heads: int = 4) -> Any:
    """A transformers CLIPModel, all its weights random."""
    from transformers import CLIPConfig, CLIPModel

    config = CLIPConfig(
        text_config={
            "vocab_size": 99, "hidden_size": text, "intermediate_size": text * 3 // 2, "num_hidden_layers": 3,
            "num_attention_heads": text_heads, "max_position_embeddings": 40, "hidden_act": act, "eos_token_id": END,
        },
        vision_config={
            "hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 2, "num_attention_heads": heads,
            "image_size": 30, "patch_size": 6, "hidden_act": act,
        },
        projection_dim=16,
    )  # fmt: skip
    model = oracles.randomised(CLIPModel._from_config(config, attn_implementation="eager"))
    model.logit_scale.data.fill_(1.7)
    return model


@pytest.fixture(scope="module")
def theirs() -> Any:
    return peer()


@pytest.fixture(scope="module")
def like_openai() -> Any:
    """Of heads 64 wide, as in all of OpenAI's models."""
    return peer(width=128, heads=2, text=64, text_heads=1)


def open_clip_folder(theirs: Any, folder: Path, *, name: str = "open_clip_model.safetensors", **changes: Any) -> Path:
    written(clip_state(theirs), folder / name)
    config = {"model_cfg": {**MODEL, **changes}, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


class TestOpenClip:
    @pytest.mark.parametrize("act", ["quick_gelu", "gelu"])
    def test_features_and_logits(self, act: str, tmp_path: Path) -> None:
        theirs = peer(act=act)
        folder = open_clip_folder(theirs, tmp_path, quick_gelu=act == "quick_gelu")
        assert open_checkpoint(folder).layout is OPEN_CLIP
        assert_same_features(load_model(folder), theirs, oracles.clip_ids(END), oracles.images())

    def test_the_activations_differ(self, theirs: Any, tmp_path: Path) -> None:
        first = load_model(open_clip_folder(theirs, tmp_path / "quick"))
        second = load_model(open_clip_folder(theirs, tmp_path / "exact", quick_gelu=False))
        with torch.no_grad():
            other = second.encode_image(oracles.images())
            assert not torch.allclose(first.encode_image(oracles.images()), other, atol=1e-3)

    @pytest.mark.parametrize("prefix", ["text.", "module.", "module.text."])
    def test_other_spellings(self, theirs: Any, prefix: str, tmp_path: Path) -> None:
        """`custom_text` puts the text tower into a module of its own; distributed training puts all into one."""
        open_clip_folder(theirs, tmp_path)
        module, text = ("module." if "module." in prefix else ""), ("text." if "text." in prefix else "")
        state = {
            module + ("" if key.startswith(("visual.", "logit")) else text) + key: tensor
            for key, tensor in clip_state(theirs).items()
        }
        save_file(state, tmp_path / "open_clip_model.safetensors")
        assert_same_features(load_model(tmp_path), theirs, oracles.clip_ids(END), oracles.images())

    def test_a_pickle_with_the_state_of_training(self, theirs: Any, tmp_path: Path) -> None:
        open_clip_folder(theirs, tmp_path)
        (tmp_path / "open_clip_model.safetensors").unlink()
        whole = {"epoch": 3, "name": "run", "state_dict": clip_state(theirs), "optimizer": {"state": {}}}
        torch.save(whole, tmp_path / "open_clip_pytorch_model.bin")
        assert_same_features(load_model(tmp_path), theirs, oracles.clip_ids(END), oracles.images())

    def test_defaults_of_open_clip(self) -> None:
        read = OPEN_CLIP.read({"model_cfg": {"embed_dim": 512, "vision_cfg": {}, "text_cfg": {}}}, {})
        assert read.vision is not None
        assert read.text is not None
        assert (read.vision.hidden_size, read.vision.num_attention_heads, read.vision.patch_size) == (768, 12, 16)
        assert (read.text.hidden_size, read.text.max_position_embeddings, read.text.vocab_size) == (512, 77, 49408)
        assert (read.vision.hidden_act, read.vision.intermediate_size, read.text.intermediate_size) == (
            "gelu", 3072, 2048,
        )  # fmt: skip

    def test_laions_wide_heads(self) -> None:
        """ViT-g/14: heads of 88, and a ratio that does not come out even."""
        vision = {"layers": 40, "width": 1408, "head_width": 88, "patch_size": 14, "mlp_ratio": 4.3637}
        text = {"width": 1024, "heads": 16, "layers": 24}
        read = OPEN_CLIP.read({"model_cfg": {"embed_dim": 1024, "vision_cfg": vision, "text_cfg": text}}, {}).vision
        assert read is not None
        assert (read.num_attention_heads, read.intermediate_size) == (16, 6144)

    @pytest.mark.parametrize(
        ("place", "changes", "words"),
        [
            (
                "vision_cfg",
                {"timm_model_name": "vit_base_patch16_siglip_224"},
                "vision_cfg.timm_model_name 'vit_base_p",
            ),
            ("vision_cfg", {"layers": [3, 4, 6, 3]}, r"vision_cfg.layers is \[3, 4, 6, 3\], a ResNet"),
            ("vision_cfg", {"pool_type": "avg"}, "vision_cfg.pool_type 'avg'"),
            ("vision_cfg", {"no_ln_pre": True}, "vision_cfg.no_ln_pre True"),
            ("vision_cfg", {"attentional_pool": True, "attn_pooler_heads": 8}, "vision_cfg.attentional_pool True"),
            ("vision_cfg", {"norm_kwargs": {"eps": 1e-6}}, "vision_cfg.norm_kwargs"),
            ("vision_cfg", {"ls_init_value": 1e-4}, "vision_cfg.ls_init_value"),
            ("vision_cfg", {"something_new": "yes"}, "vision_cfg.something_new 'yes'"),
            ("vision_cfg", {"width": "wide"}, "width is 'wide': expected an integer"),
            ("vision_cfg", {"head_width": 7}, "does not divide into heads of head_width 7"),
            ("text_cfg", {"heads": 5}, "does not divide into 5 attention heads"),
            ("text_cfg", {"hf_model_name": "xlm-roberta-base"}, "text_cfg.hf_model_name 'xlm-roberta-base'"),
            ("text_cfg", {"hf_tokenizer_name": "bert-base-uncased"}, "text_cfg.hf_tokenizer_name"),
            (
                "text_cfg",
                {"no_causal_mask": True, "pool_type": "last"},
                "no_causal_mask True, text_cfg.pool_type 'last'",
            ),
            ("text_cfg", {"embed_cls": True}, "text_cfg.embed_cls True"),
            ("text_cfg", {"proj_type": "none"}, "text_cfg.proj_type 'none'"),
            (None, {"multimodal_cfg": {"width": 768}}, "multimodal_cfg {'width': 768}"),
            (None, {"init_logit_bias": -10}, "init_logit_bias -10"),
            (None, {"vision_cfg": None}, "model_cfg.vision_cfg is None"),
        ],
    )
    def test_variants_are_refused_by_the_key_that_asks_for_them(
        self, theirs: Any, place: str | None, changes: dict[str, Any], words: str, tmp_path: Path
    ) -> None:
        model: dict[str, Any] = {place: {**MODEL[place], **changes}} if place else changes  # type: ignore[dict-item]
        with pytest.raises(LayoutError, match=words) as raised:
            open_checkpoint(open_clip_folder(theirs, tmp_path, **model))
        assert "open_clip_config.json, read as open_clip" in str(raised.value)

    def test_options_that_are_off_are_passed_over(self, theirs: Any, tmp_path: Path) -> None:
        off: dict[str, Any] = {
            "custom_text": True, "init_logit_bias": None, "output_dict": True,
            "vision_cfg": {
                **MODEL["vision_cfg"], "patch_dropout": 0.5, "attentional_pool": False, "attn_pooler_heads": 8,  # type: ignore[dict-item]
                "pool_type": "tok", "pos_embed_type": "learnable", "timm_model_name": None, "timm_pool": "avg",
                "norm_kwargs": {}, "ls_init_value": None, "image_size": [30, 30],
            },
            "text_cfg": {**MODEL["text_cfg"], "pool_type": "argmax", "pad_id": 0, "hf_proj_type": "mlp"},  # type: ignore[dict-item]
        }  # fmt: skip
        folder = open_clip_folder(theirs, tmp_path, **off)
        assert_same_features(load_model(folder), theirs, oracles.clip_ids(END), oracles.images())

    def test_weights_without_their_configuration(self, theirs: Any, tmp_path: Path) -> None:
        folder = open_clip_folder(theirs, tmp_path)
        (folder / "open_clip_config.json").unlink()
        with pytest.raises(LayoutError, match=r"no open_clip_config\.json.*activation; fetch it"):
            load_model(folder)
        (folder / "config.json").write_text(json.dumps({"model_type": "clip"}), encoding="utf-8")
        with pytest.raises(LayoutError, match=r"no 'model_cfg'.*fetch open_clip_config\.json too"):
            load_model(folder)

    def test_of_two_forms_in_a_folder_transformers_comes_first(self, theirs: Any, tmp_path: Path) -> None:
        """As in LAION's repositories, which hold both."""
        open_clip_folder(theirs, tmp_path)
        other = peer()
        other.logit_scale.data.fill_(0.5)
        oracles.saved(other, tmp_path)
        assert open_checkpoint(tmp_path).layout.name == "Hugging Face CLIP"
        assert load_model(tmp_path).logit_scale.item() == 0.5
        (tmp_path / "model.safetensors").unlink()
        assert open_checkpoint(tmp_path).layout is OPEN_CLIP
        assert load_model(tmp_path).logit_scale.item() == pytest.approx(1.7)

    def test_timms_files_are_passed_over(self, theirs: Any, tmp_path: Path) -> None:
        """timm's repositories of CLIPs hold the image tower in its own form beside open_clip's files."""
        open_clip_folder(theirs, tmp_path)
        (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit_tiny"}), encoding="utf-8")
        save_file({"blocks.0.norm1.weight": torch.ones(3)}, tmp_path / "model.safetensors")
        assert_same_features(load_model(tmp_path), theirs, oracles.clip_ids(END), oracles.images())


class TestStateDict:
    @pytest.mark.parametrize("name", ["clip.safetensors", "model.safetensors", "ViT-B-32.pt", "pytorch_model.bin"])
    def test_features_and_logits(self, like_openai: Any, name: str, tmp_path: Path) -> None:
        folder = written(clip_state(like_openai), tmp_path / name)
        assert open_checkpoint(folder).layout is OPENAI
        assert_same_features(load_model(folder), like_openai, oracles.clip_ids(END), oracles.images())

    def test_openais_numbers_beside_the_weights_and_half_precision(self, like_openai: Any, tmp_path: Path) -> None:
        """Their state dicts hold three integers, and tensors of two formats."""
        state = {
            k: t.half() if "ln_" not in k and "embedding" not in k else t for k, t in clip_state(like_openai).items()
        }
        numbers = {"input_resolution": 30, "context_length": 40, "vocab_size": 99}
        state.update({name: torch.tensor(value) for name, value in numbers.items()})
        model, report = load_with_report(written(state, tmp_path / "clip.pt"))
        assert report.ok
        assert sorted(report.ignored) == sorted(numbers)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        with torch.no_grad():
            expected = like_openai.get_image_features(oracles.images()).pooler_output
            assert torch.allclose(model.encode_image(oracles.images()), expected, atol=0.05)

    def test_sizes_of_openais_vit_l_14(self) -> None:
        """All that tensors tell of the largest model is what its preset says."""
        config = preset("clip-vit-l-14")
        with without_memory():
            shapes = {name: tuple(p.shape) for name, p in DualEncoder(config).named_parameters()}
        read = OPENAI.read({}, shapes)
        assert read.vision == config.vision
        assert read.projection_dim == config.projection_dim
        assert read.text is not None
        assert config.text is not None
        same = ("hidden_size", "num_attention_heads", "intermediate_size", "vocab_size", "max_position_embeddings")
        assert [getattr(read.text, key) for key in same] == [getattr(config.text, key) for key in same]

    @pytest.mark.parametrize("layout", [OPENAI, OPEN_CLIP], ids=lambda layout: layout.name)
    def test_a_name_goes_there_and_back(self, layout: Any) -> None:
        with without_memory():
            names = [name for name, _ in DualEncoder(preset("clip-vit-l-14")).named_parameters()]
        placed = [layout.theirs(name) for name in names]
        assert None not in placed
        assert len(set(placed)) == len(names)
        assert [layout.ours(layout.canonical(name)) for name in placed] == names
        assert not any(layout.is_ignored(name) for name in placed)

    def test_a_resnet_is_refused_by_name(self, like_openai: Any, tmp_path: Path) -> None:
        state = {key: t for key, t in clip_state(like_openai).items() if not key.startswith("visual.")}
        state |= {"visual.conv1.weight": torch.ones(8, 3, 3, 3), "visual.attnpool.c_proj.weight": torch.ones(16, 8)}
        with pytest.raises(LayoutError, match="ResNet"):
            load_model(written(state, tmp_path / "RN50.pt"))

    def test_sizes_that_openai_never_made_want_a_configuration(self, tmp_path: Path) -> None:
        """LAION's ViT-H/14 has heads of 80 and another activation: to guess would be wrong without a word."""
        with without_memory():
            config = preset("clip-vit-l-14").to_dict()
            config["vision"] = {**config["vision"], "hidden_size": 1280}
            shapes = {
                n: tuple(p.shape) for n, p in DualEncoder(preset("clip-vit-l-14").from_dict(config)).named_parameters()
            }
        with pytest.raises(LayoutError, match="1280 wide.*open_clip_config"):
            OPENAI.read({}, shapes)

    @pytest.mark.parametrize(
        ("gone", "words"),
        [
            ("text_projection", "do not tell text_projection"),
            ("visual.conv1.weight", "do not tell image_size, patch_size of the image tower"),
            ("visual.ln_pre.bias", "1 missing: visual.ln_pre.bias"),
        ],
    )
    def test_a_tensor_that_is_missing(self, like_openai: Any, gone: str, words: str, tmp_path: Path) -> None:
        state = clip_state(like_openai)
        del state[gone]
        with pytest.raises((LayoutError, WeightsError), match=words):
            load_model(written(state, tmp_path / "clip.safetensors"))

    def test_a_tensor_that_is_unexpected_or_misshapen(self, like_openai: Any, tmp_path: Path) -> None:
        state = {**clip_state(like_openai), "stray": torch.ones(1), "ln_final.weight": torch.ones(65)}
        state["transformer.resblocks.1.attn.in_proj_bias"] = torch.ones(190)
        with pytest.raises(WeightsError) as raised:
            load_model(written(state, tmp_path / "clip.safetensors"))
        assert "1 unexpected: stray" in str(raised.value)
        assert "ln_final.weight is 65, not 64" in str(raised.value)
        assert "transformer.resblocks.1.attn.q_proj.bias is 190, not 64" in str(raised.value)

    def test_openais_own_archives_stay_refused(self, tmp_path: Path) -> None:
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "ViT-B-32.pt")
        with pytest.raises(UnsafeFileError, match="openai/clip-vit-large-patch14 and openai/clip-vit-base-patch32"):
            load_model(tmp_path)


class TestThereAndBack:
    @pytest.mark.parametrize("kind", ["open_clip", "state dict"])
    def test_what_is_saved_is_what_transformers_has(
        self, theirs: Any, like_openai: Any, kind: str, tmp_path: Path
    ) -> None:
        """The tensors come out of their pieces bit by bit, and a second reading gives the first."""
        peers = theirs if kind == "open_clip" else like_openai
        source = tmp_path / "source"
        folder = (
            open_clip_folder(theirs, source) if kind == "open_clip" else written(clip_state(peers), source / "a.pt")
        )
        model = load_model(folder)
        save_model(model, tmp_path / "saved")
        saved, expected = load_file(tmp_path / "saved" / "model.safetensors"), peers.state_dict()
        assert saved.keys() == expected.keys()
        assert all(torch.equal(saved[key], expected[key]) for key in saved)
        again = load_model(tmp_path / "saved")
        assert again.config == model.config
        opened = opened_by_transformers("CLIPModel", tmp_path / "saved")
        assert_same_features(again, opened, oracles.clip_ids(END), oracles.images())

    def test_pieces_stay_mapped_to_their_file(self, theirs: Any, tmp_path: Path) -> None:
        state = load_model(open_clip_folder(theirs, tmp_path)).state_dict()
        first, second = (state[f"vision.layers.0.attention.{part}.weight"] for part in ("query", "key"))
        assert second.data_ptr() - first.data_ptr() == first.nbytes
        (tmp_path / "open_clip_model.safetensors").unlink()
        assert torch.isfinite(first).all()

    def test_a_converted_copy_is_the_same_as_of_transformers_files(self, theirs: Any, tmp_path: Path) -> None:
        first = load_model(open_clip_folder(theirs, tmp_path / "a"), dtype=torch.bfloat16).state_dict()
        second = load_model(oracles.saved(theirs, tmp_path / "b"), dtype=torch.bfloat16).state_dict()
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


class TestTwoFamilies:
    def test_in_one_file(self, theirs: Any, tmp_path: Path) -> None:
        oracles.saved(theirs, tmp_path)
        save_file({**load_file(tmp_path / "model.safetensors"), **clip_state(theirs)}, tmp_path / "model.safetensors")
        with pytest.raises(LayoutError, match="tensors of two families, Hugging Face CLIP and open_clip: which"):
            load_model(tmp_path)

    def test_beside_each_other(self, theirs: Any, tmp_path: Path) -> None:
        from tests.checkpoints.openai_names import chinese_clip_state
        from tests.checkpoints.test_family_chinese_clip import peer as chinese

        oracles.saved(theirs, tmp_path)
        torch.save({"epoch": 1, "state_dict": chinese_clip_state(chinese())}, tmp_path / "clip_cn_vit-b-16.pt")
        words = (
            "two families, Hugging Face CLIP in model.safetensors and Chinese-CLIP of its authors in clip_cn_vit-b-16"
        )
        with pytest.raises(LayoutError, match=words):
            load_model(tmp_path)

    def test_what_training_and_other_programs_leave_is_passed_over(self, theirs: Any, tmp_path: Path) -> None:
        oracles.saved(theirs, tmp_path)
        torch.save({"state": {}, "param_groups": []}, tmp_path / "optimizer.pt")
        torch.save({"lr": 0.1}, tmp_path / "last.pt")
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "ViT-B-32.pt")
        save_file({"adapter.lora_A.weight": torch.ones(2, 2)}, tmp_path / "adapter_model.safetensors")
        written(clip_state(theirs), tmp_path / "same_family.pt")
        assert_same_features(load_model(tmp_path), theirs, oracles.clip_ids(END), oracles.images())

    def test_two_files_of_no_name(self, theirs: Any, like_openai: Any, tmp_path: Path) -> None:
        written(clip_state(theirs), tmp_path / "a.safetensors")
        written(clip_state(like_openai), tmp_path / "b.pt")
        with pytest.raises(LayoutError, match=r"several weights \(a.safetensors, b.pt\): which are meant"):
            load_model(tmp_path)


class TestEncoder:
    @pytest.fixture
    def folder(self, theirs: Any, tmp_path: Path) -> Path:
        """With a tokenizer of 99 tokens."""
        from altclip.processing import Tokenizer

        folder = open_clip_folder(theirs, tmp_path / "model", text_cfg={**MODEL["text_cfg"], "vocab_size": 600})  # type: ignore[dict-item]
        state = clip_state(theirs)
        state["token_embedding.weight"] = torch.randn(600, 32, generator=torch.Generator().manual_seed(1))
        save_file(state, folder / "open_clip_model.safetensors")
        merges_folder(folder)
        assert len(Tokenizer.from_folder(folder)) < 600
        return folder

    def test_a_folder_of_open_clip(self, folder: Path, tmp_path: Path) -> None:
        encoder = Encoder(folder, device="cpu")
        assert encoder.image_processor is not None
        assert encoder.image_processor.image_mean == (0.5, 0.4, 0.3)
        assert encoder.image_processor.crop_size == {"height": 30, "width": 30}
        assert encoder.languages is None
        picture = Image.effect_mandelbrot((70, 41), (-2, -1.5, 1, 1.5), 50)
        chances = encoder.classify(picture, ["a cat", "a dog"])
        encoder.save(tmp_path / "saved")
        again = Encoder(tmp_path / "saved", device="cpu")
        assert again.image_processor is not None
        assert again.image_processor.to_dict() == encoder.image_processor.to_dict()
        assert again.classify(picture, ["a cat", "a dog"]) == chances

    def test_what_it_is(self, folder: Path) -> None:
        told = describe(folder)
        assert told.family == "open_clip"
        assert told.config is not None
        assert told.config["text"]["vocab_size"] == 600
        assert list(told.config["heads"]) == ["retrieval"]
        assert told.parameters["text"] > told.parameters["image"] > 0

    def test_a_state_dict_with_a_vocabulary_beside_it(self, folder: Path) -> None:
        """Its images are prepared as OpenAI's code does."""
        like = peer(width=128, heads=2, text=64, text_heads=1)
        state = clip_state(like)
        state["token_embedding.weight"] = torch.randn(600, 64, generator=torch.Generator().manual_seed(1))
        written(state, folder / "clip.pt")
        for name in ("open_clip_config.json", "open_clip_model.safetensors"):
            (folder / name).unlink()
        encoder = Encoder(folder, device="cpu")
        square = {"height": 30, "width": 30}
        expected = ImageProcessor(size={"shortest_edge": 30}, crop_size=square, crop_rounding="even")
        assert encoder.image_processor == expected
        assert encoder.encode_texts(["a cat"]).shape == (1, 16)
        assert describe(folder).family == "OpenAI CLIP state dict"
        assert len(encoder.digest) == 64
        assert encoder.languages is None

    def test_a_tokenizer_of_another_model(self, theirs: Any, folder: Path) -> None:
        open_clip_folder(theirs, folder)
        with pytest.raises(LayoutError, match="the tokenizer has .* tokens, the text tower 99"):
            Encoder(folder, device="cpu")


@pytest.mark.parametrize(
    ("name", "there", "expected"),
    [
        ("laion", ("config.json", "open_clip_config.json", "model.safetensors", "open_clip_model.safetensors"),
         ["config.json", "model.safetensors", "open_clip_config.json"]),
        ("timm", ("config.json", "open_clip_config.json", "model.safetensors", "open_clip_model.safetensors"),
         ["config.json", "open_clip_config.json", "open_clip_model.safetensors"]),
        ("lone", ("open_clip_config.json", "open_clip_pytorch_model.bin", "vocab.json"),
         ["open_clip_config.json", "open_clip_pytorch_model.bin", "vocab.json"]),
        ("mixed", ("config.json", "open_clip_config.json", "pytorch_model.bin", "open_clip_model.safetensors"),
         ["config.json", "open_clip_config.json", "open_clip_model.safetensors"]),
    ],
)  # fmt: skip
def test_what_is_fetched_from_the_hub(
    name: str, there: tuple[str, ...], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = b'{"architecture": "vit"}' if name == "timm" else b'{"model_type": "clip"}'
    contents = {file: config if file == "config.json" else b"{}" for file in there}
    with serving({f"owner/{name}": contents}) as hub:
        point_to(hub.url, monkeypatch, tmp_path)
        assert files(resolve(f"owner/{name}")) == expected
        assert not any("pytorch_model.bin" in path for path in hub.requests if "resolve" in path and name == "mixed")


def golden(suffix: str) -> Path:
    file = ROOT / "golden" / f"open_clip_tiny{suffix}"
    if not file.is_file():
        pytest.skip("no golden results of open_clip: run benchmarks/golden_open_clip.py in its environment")
    return file


@pytest.fixture
def golden_folder(tmp_path: Path) -> Path:
    """The tiny model that open_clip itself made and ran."""
    (tmp_path / "open_clip_config.json").write_bytes(golden(".json").read_bytes())
    weights = {key.removeprefix("model."): t for key, t in load_file(golden(".safetensors")).items() if "model." in key}
    save_file(weights, tmp_path / "open_clip_model.safetensors")
    return tmp_path


def test_golden_results_of_open_clip(golden_folder: Path) -> None:
    model, results = load_model(golden_folder), load_file(golden(".safetensors"))
    with torch.no_grad():
        text, image = model.encode_text(results["ids"]), model.encode_image(results["pixels"])
        assert torch.allclose(text, results["text_features"], atol=1e-5)
        assert torch.allclose(image, results["image_features"], atol=1e-5)
        text, image = torch.nn.functional.normalize(text), torch.nn.functional.normalize(image)
        assert torch.allclose(model.logit_scale.exp() * image @ text.T, results["logits"], atol=1e-5)


def test_golden_preprocessing_of_open_clip(golden_folder: Path) -> None:
    """Pictures of all parities of excess, of which torchvision rounds some up and some down."""
    results = load_file(golden(".safetensors"))
    processor = ImageProcessor.from_folder(golden_folder)
    pictures = [key for key in results if key.startswith("picture.")]
    assert len(pictures) >= 4
    for key in pictures:
        expected = results[f"prepared.{key.removeprefix('picture.')}"]
        ours = torch.from_numpy(processor.preprocess(Image.fromarray(results[key].numpy())))
        assert torch.allclose(ours, expected, atol=1e-5)
