"""Chinese-CLIP equals transformers' ChineseCLIPModel, from its folders and from its authors' own files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from altclip.checkpoints import load_model, load_with_report, open_checkpoint, save_model
from altclip.checkpoints.layouts.chinese_clip import CHINESE_CLIP, CHINESE_CLIP_ORIGINAL
from altclip.checkpoints.opening import without_memory
from altclip.encoder import Encoder, describe
from altclip.errors import LayoutError, UnsafeFileError, WeightsError
from altclip.export import convert
from altclip.models import DualEncoder, ModelConfig, heads_of
from tests.checkpoints.openai_names import assert_same_features, chinese_clip_state, written
from tests.checkpoints.test_round_trip import opened_by_transformers
from tests.models import oracles
from tests.processing.tiny import vocabulary_folder

TEXTS = ["两个孩子在海边放风筝，天空很蓝。", "Dog DOGS", "窗"]
SIZES: dict[str, Any] = {"vocab_size": 300, "hidden_size": 128, "num_attention_heads": 2, "pad_token_id": 0}


def peer(*, text: dict[str, Any] | None = None, vision: dict[str, Any] | None = None) -> Any:
    """A transformers ChineseCLIPModel, all its weights random; heads are 64 wide, as in all released models but one."""
    from transformers import ChineseCLIPConfig, ChineseCLIPModel

    config = ChineseCLIPConfig(
        text_config={**oracles.TEXT, **SIZES, "intermediate_size": 70, **(text or {})},
        vision_config={**oracles.VISION, "hidden_size": 128, "num_attention_heads": 2, **(vision or {})},
        projection_dim=16,
    )
    model = oracles.randomised(ChineseCLIPModel._from_config(config, attn_implementation="eager"))
    model.logit_scale.data.fill_(1.7)
    return model


@pytest.fixture(scope="module")
def theirs() -> Any:
    return peer()


@pytest.fixture(scope="module")
def folder(theirs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What transformers wrote; not to be changed."""
    return oracles.saved(theirs, tmp_path_factory.mktemp("chinese_clip"))


def original(theirs: Any, folder: Path, prefix: str = "module.") -> Path:
    """As its authors save it."""
    folder.mkdir(parents=True, exist_ok=True)
    state = chinese_clip_state(theirs, prefix)
    torch.save({"epoch": 15, "step": 9000, "name": "run", "state_dict": state}, folder / "clip_cn_vit-b-16.pt")
    return folder


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """Ids with padding by 0, pixels, and the mask that both codes make of the ids."""
    ids_BL = oracles.ids()
    ids_BL[:, 0] = 101
    ids_BL[ids_BL == oracles.PAD] = 0
    return ids_BL, oracles.images(), (ids_BL != 0).long()


class TestReading:
    def test_features_and_logits(self, theirs: Any, folder: Path) -> None:
        assert open_checkpoint(folder).layout is CHINESE_CLIP
        ids_BL, pixels, mask_BL = inputs()
        model = load_model(folder)
        assert model.config.heads == heads_of("chinese-clip")
        assert_same_features(model, theirs, ids_BL, pixels, mask_BL)
        assert_same_features(model, theirs, ids_BL, pixels)

    @pytest.mark.parametrize("prefix", ["module.", ""])
    def test_features_and_logits_of_the_authors_files(self, theirs: Any, prefix: str, tmp_path: Path) -> None:
        folder = original(theirs, tmp_path, prefix)
        assert open_checkpoint(folder).layout is CHINESE_CLIP_ORIGINAL
        ids_BL, pixels, mask_BL = inputs()
        assert_same_features(load_model(folder), theirs, ids_BL, pixels, mask_BL)

    def test_both_forms_give_the_same_model(self, theirs: Any, folder: Path, tmp_path: Path) -> None:
        first, second = load_model(folder), load_model(original(theirs, tmp_path))
        assert first.state_dict().keys() == second.state_dict().keys()
        assert all(torch.equal(t, second.state_dict()[key]) for key, t in first.state_dict().items())

    def test_modelscopes_name_for_the_file(self, theirs: Any, tmp_path: Path) -> None:
        original(theirs, tmp_path)
        (tmp_path / "clip_cn_vit-b-16.pt").rename(tmp_path / "pytorch_model.bin")
        (tmp_path / "configuration.json").write_text("{}", encoding="utf-8")
        assert open_checkpoint(tmp_path).layout is CHINESE_CLIP_ORIGINAL
        load_model(tmp_path)

    def test_half_precision_and_a_pooler_beside(self, theirs: Any, tmp_path: Path) -> None:
        """Training keeps matrices in half precision; older files carry BERT's pooler."""
        state = {
            k: t.half() if t.ndim > 1 and "embeddings" not in k else t for k, t in chinese_clip_state(theirs).items()
        }
        pooler = {
            "module.bert.pooler.dense.weight": torch.ones(128, 128),
            "module.bert.pooler.dense.bias": torch.ones(128),
        }
        model, report = load_with_report(written({**state, **pooler}, tmp_path / "a.pt"))
        assert report.ok
        assert sorted(report.ignored) == sorted(pooler)
        assert {p.dtype for p in model.parameters()} == {torch.float32}

    def test_buffers_of_the_released_files(self, folder: Path, tmp_path: Path) -> None:
        buffers = {
            "text_model.embeddings.position_ids": torch.arange(40)[None],
            "vision_model.embeddings.position_ids": torch.arange(26)[None],
        }
        torch.save({**load_file(folder / "model.safetensors"), **buffers}, tmp_path / "pytorch_model.bin")
        (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
        _, report = load_with_report(tmp_path)
        assert report.ok
        assert sorted(report.ignored) == sorted(buffers)

    def test_the_released_sizes(self) -> None:
        """Heads of the image tower are 64 wide, but 80 in ViT-H/14; text is BERT's base or large."""
        sizes = {"B/16": (768, 12, 16, 768, 12), "L/14": (1024, 24, 14, 768, 12), "H/14": (1280, 32, 14, 1024, 24)}
        heads = {"B/16": (12, 12), "L/14": (16, 12), "H/14": (16, 16)}
        for name, (width, layers, patch, text, text_layers) in sizes.items():
            config = ModelConfig.from_dict(
                {
                    "vision": {"hidden_size": width, "num_hidden_layers": layers, "patch_size": patch},
                    "text": {
                        "architecture": "bert", "hidden_size": text, "num_hidden_layers": text_layers,
                        "vocab_size": 21128, "max_position_embeddings": 512, "type_vocab_size": 2,
                        "num_attention_heads": text // 64,
                    },
                    "heads": {"retrieval": {"projection": "text_projection"}},
                }
            )  # fmt: skip
            with without_memory():
                shapes = {name: tuple(p.shape) for name, p in DualEncoder(config).named_parameters()}
            read = CHINESE_CLIP_ORIGINAL.read({}, shapes)
            assert read.vision is not None
            assert read.text is not None
            assert (read.vision.num_attention_heads, read.text.num_attention_heads) == heads[name]
            assert (read.vision.image_size, read.vision.patch_size, read.vision.num_hidden_layers) == (
                224,
                patch,
                layers,
            )
            assert (read.text.vocab_size, read.text.layer_norm_eps, read.text.hidden_act) == (21128, 1e-12, "gelu")
            assert (read.vision.hidden_act, read.text.max_length) == ("quick_gelu", 512)

    def test_a_name_goes_there_and_back(self, folder: Path) -> None:
        layout, names = CHINESE_CLIP_ORIGINAL, list(load_model(folder).state_dict())
        placed = [layout.theirs(name) for name in names]
        assert len({*placed, None}) == len(names) + 1
        assert [layout.ours(layout.canonical(f"module.{name}")) for name in placed] == names


class TestRefused:
    def test_rn50_by_name(self, theirs: Any, tmp_path: Path) -> None:
        state = {key: t for key, t in chinese_clip_state(theirs).items() if "visual." not in key}
        state |= {"module.visual.conv1.weight": torch.ones(8, 3, 3, 3), "module.visual.bn1.weight": torch.ones(8)}
        state |= {"module.visual.attnpool.c_proj.weight": torch.ones(16, 8)}
        with pytest.raises(LayoutError, match="a ResNet.*RN50.*take a ViT model") as raised:
            load_model(written(state, tmp_path / "clip_cn_rn50.pt"))
        assert "Chinese-CLIP of its authors" in str(raised.value)

    @pytest.mark.parametrize(
        ("gone", "words"),
        [
            ("module.visual.proj", "do not tell visual.proj"),
            ("module.bert.embeddings.position_embeddings.weight", "do not tell max_position_embeddings"),
            ("module.text_projection", "1 missing: text_projection"),
        ],
    )
    def test_a_tensor_that_is_missing(self, theirs: Any, gone: str, words: str, tmp_path: Path) -> None:
        state = chinese_clip_state(theirs)
        del state[gone]
        with pytest.raises((LayoutError, WeightsError), match=words):
            load_model(written(state, tmp_path / "a.pt"))

    def test_tensors_too_many(self, theirs: Any, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="1 unexpected: module.stray"):
            load_model(written({**chinese_clip_state(theirs), "module.stray": torch.ones(1)}, tmp_path / "a.pt"))
        tensors = {**load_file(folder / "model.safetensors"), "stray": torch.ones(1)}
        written(tensors, tmp_path / "b" / "model.safetensors")
        (tmp_path / "b" / "config.json").write_bytes((folder / "config.json").read_bytes())
        with pytest.raises(WeightsError, match="1 unexpected: stray"):
            load_model(tmp_path / "b")

    def test_tensors_of_two_families_in_one_file(self, folder: Path, tmp_path: Path) -> None:
        both = {**load_file(folder / "model.safetensors")}
        both["text_model.embeddings.token_embedding.weight"] = torch.ones(99, 32)
        save_file(both, tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
        words = "tensors of two families, Hugging Face CLIP and Hugging Face Chinese-CLIP: which is meant"
        with pytest.raises(LayoutError, match=words):
            load_model(tmp_path)
        with pytest.raises(LayoutError, match=words):
            load_with_report(tmp_path)

    def test_code_in_the_file(self, theirs: Any, tmp_path: Path) -> None:
        torch.save({"state_dict": chinese_clip_state(theirs), "args": Path("x")}, tmp_path / "a.pt")
        with pytest.raises(UnsafeFileError, match="carries code"):
            load_model(tmp_path)


class TestWriting:
    def test_transformers_opens_it_with_equal_outputs(self, theirs: Any, tmp_path: Path) -> None:
        save_model(load_model(original(theirs, tmp_path / "original")), tmp_path / "saved")
        opened = opened_by_transformers("ChineseCLIPModel", tmp_path / "saved")
        saved, expected = load_file(tmp_path / "saved" / "model.safetensors"), theirs.state_dict()
        assert saved.keys() == expected.keys()
        assert all(torch.equal(saved[key], expected[key]) for key in saved)
        ids_BL, pixels, mask_BL = inputs()
        with torch.no_grad():
            call = {"input_ids": ids_BL, "pixel_values": pixels, "attention_mask": mask_BL}
            # transformers 5.23 zeroes the row of the padding token as it loads; the mask hides it
            assert torch.allclose(opened(**call).logits_per_image, theirs(**call).logits_per_image, atol=1e-5)

    def test_there_and_back(self, folder: Path, tmp_path: Path) -> None:
        model = load_model(folder)
        save_model(model, tmp_path)
        again = load_model(tmp_path)
        assert again.config == model.config
        assert all(torch.equal(t, again.state_dict()[key]) for key, t in model.state_dict().items())
        saved = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
        assert (saved["model_type"], saved["architectures"]) == ("chinese_clip", ["ChineseCLIPModel"])

    def test_beside_the_file_it_came_from(self, theirs: Any, tmp_path: Path) -> None:
        """Both forms in one folder are one family."""
        save_model(load_model(original(theirs, tmp_path)), tmp_path)
        assert open_checkpoint(tmp_path).layout is CHINESE_CLIP
        load_model(tmp_path)


class TestEncoder:
    @pytest.fixture
    def alone(self, theirs: Any, tmp_path: Path) -> Path:
        """The authors' file and a vocabulary: no settings at all."""
        return vocabulary_folder(original(theirs, tmp_path / "alone"))

    def test_weights_alone_are_read_as_their_authors_do(self, theirs: Any, alone: Path) -> None:
        from transformers import BertTokenizer, ChineseCLIPImageProcessorPil

        encoder = Encoder(alone, device="cpu")
        picture = Image.effect_mandelbrot((70, 41), (-2, -1.5, 1, 1.5), 50).convert("RGB")
        texts = BertTokenizer.from_pretrained(alone, do_lower_case=True)(TEXTS, padding=True, return_tensors="pt")
        settings: dict[str, Any] = {"size": {"height": 30, "width": 30}, "do_center_crop": False}
        pixels = torch.from_numpy(np.asarray(ChineseCLIPImageProcessorPil(**settings)(picture).pixel_values[0]))[None]
        with torch.no_grad():
            expected = theirs(input_ids=texts["input_ids"], pixel_values=pixels, attention_mask=texts["attention_mask"])
        np.testing.assert_allclose(encoder.encode_texts(TEXTS), expected.text_embeds.numpy(), atol=1e-5)
        np.testing.assert_allclose(encoder.encode_images(picture), expected.image_embeds.numpy(), atol=1e-5)
        chances = dict(encoder.classify(picture, TEXTS, templates=None))
        for text, chance in zip(TEXTS, expected.logits_per_image.softmax(-1)[0].tolist(), strict=True):
            assert chances[text] == pytest.approx(chance, abs=1e-5)

    def test_their_limit_of_tokens_is_52(self, alone: Path, folder: Path, tmp_path: Path) -> None:
        tokenizer = Encoder(alone, device="cpu").tokenizer
        assert tokenizer is not None
        assert tokenizer.model_max_length == 52

    def test_saved_it_is_a_folder_of_transformers(self, alone: Path, tmp_path: Path) -> None:
        from transformers import ChineseCLIPImageProcessorPil, ChineseCLIPModel

        encoder = Encoder(alone, device="cpu")
        encoder.save(tmp_path / "saved")
        again = Encoder(tmp_path / "saved", device="cpu")
        np.testing.assert_array_equal(again.encode_texts(TEXTS), encoder.encode_texts(TEXTS))
        assert again.image_processor == encoder.image_processor
        ChineseCLIPModel.from_pretrained(tmp_path / "saved")
        convert(alone, tmp_path / "converted", to="hf")
        converted = Encoder(tmp_path / "converted", device="cpu")
        np.testing.assert_array_equal(converted.encode_texts(TEXTS), encoder.encode_texts(TEXTS))
        settings = ChineseCLIPImageProcessorPil.from_pretrained(tmp_path / "saved")
        assert (dict(settings.size), settings.do_center_crop) == ({"height": 30, "width": 30}, False)

    def test_the_settings_of_a_released_folder(self, folder: Path, tmp_path: Path) -> None:
        """As the authors' preprocessor_config.json has them."""
        save_model(load_model(folder), tmp_path)
        vocabulary_folder(tmp_path)
        settings = {
            "crop_size": {"height": 30, "width": 30}, "do_center_crop": False, "do_normalize": True, "do_resize": True,
            "feature_extractor_type": "ChineseCLIPFeatureExtractor", "resample": 3, "size": {"height": 30, "width": 30},
            "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
        }  # fmt: skip
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
        encoder = Encoder(tmp_path, device="cpu")
        assert encoder.encode_images(Image.new("RGB", (50, 20))).shape == (1, 16)
        assert encoder.encode_texts("Dog").tolist() == encoder.encode_texts("dog").tolist()

    @pytest.mark.parametrize("form", ["transformers", "authors"])
    def test_what_it_is(self, form: str, alone: Path, folder: Path) -> None:
        told = describe(folder if form == "transformers" else alone)
        assert told.family == ("Hugging Face Chinese-CLIP" if form == "transformers" else "Chinese-CLIP of its authors")
        assert told.config is not None
        assert told.config["text"]["architecture"] == "bert"
        assert told.config["heads"]["retrieval"]["projection"] == "text_projection"

    def test_a_tokenizer_of_another_model(self, tmp_path: Path) -> None:
        vocabulary_folder(original(peer(text={"vocab_size": 120}), tmp_path))
        with pytest.raises(LayoutError, match="the tokenizer has .* tokens, the text tower 120"):
            Encoder(tmp_path, device="cpu")

    def test_no_vocabulary(self, theirs: Any, tmp_path: Path) -> None:
        with pytest.raises(LayoutError, match="has no tokenizer: expected one of"):
            Encoder(original(theirs, tmp_path), device="cpu")
