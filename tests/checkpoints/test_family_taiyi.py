"""Taiyi equals what its cards compute: transformers' BERT through its pooler or classifier, beside a CLIP."""

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
from altclip.checkpoints.layouts import layout_for
from altclip.checkpoints.layouts.taiyi import TAIYI, TAIYI_CLASSIFIER, TAIYI_POOLER_TEXT, TAIYI_TEXT
from altclip.checkpoints.layouts.text_towers import BERT_TOWER
from altclip.checkpoints.opening import with_readout
from altclip.encoder import Encoder, describe
from altclip.errors import LayoutError, UsageError, WeightsError
from altclip.models import heads_of
from altclip.processing import ImageProcessor, Tokenizer
from tests.checkpoints.openai_names import image_side
from tests.checkpoints.test_family_clip import PREPROCESSING
from tests.checkpoints.test_round_trip import opened_by_transformers
from tests.models import oracles
from tests.processing.tiny import vocabulary_folder

TEXTS = ["一只猫", "一只狗", "两只猫和一个孩子在海边放风筝", "dog", "天空很蓝。"]
VOCABULARY = 300
# family -> the class it is released as, width of the text tower, and of the common space
KINDS = {"taiyi-classifier": ("BertForSequenceClassification", 32, 16), "taiyi-pooler": ("BertModel", 32, 32)}


def text_peer(family: str) -> Any:
    """The text encoder as transformers has it, its weights random."""
    kind, _, labels = KINDS[family]
    changes = {"vocab_size": VOCABULARY, "pad_token_id": 0, "attn_implementation": "eager"}
    return oracles.text_tower(kind, **changes, **({"num_labels": labels} if family == "taiyi-classifier" else {}))


def image_peer(family: str) -> Any:
    """A transformers CLIPModel of the same space."""
    from transformers import CLIPConfig, CLIPModel

    sizes = {key: value for key, value in oracles.TEXT.items() if not key.endswith("dropout_prob")}
    config = CLIPConfig(text_config=sizes, vision_config=oracles.VISION, projection_dim=KINDS[family][2])
    model = oracles.randomised(CLIPModel._from_config(config, attn_implementation="eager"))
    model.logit_scale.data.fill_(1.7)
    return model


class Released:
    """The folders of a family as they are released, and the models in them."""

    def __init__(self, family: str, folder: Path) -> None:
        self.family, self.text, self.image = family, text_peer(family), image_peer(family)
        self.text_folder = vocabulary_folder(oracles.saved(self.text, folder / "text"))
        self.image_folder = oracles.saved(self.image, folder / "clip")
        side = oracles.VISION["image_size"]
        square = {"height": side, "width": side}
        ImageProcessor(size={"shortest_edge": side}, crop_size=square).save(self.image_folder)

    def text_features(self, ids_BL: Tensor, mask_BL: Tensor | None) -> Tensor:
        """As the cards read them: `text_encoder(text)[1]`, or `.logits` of the classifier."""
        with torch.no_grad():
            output = self.text(ids_BL, attention_mask=mask_BL)
        features: Tensor = output.logits if self.family == "taiyi-classifier" else output[1]
        return features

    def card(self, texts: list[str], picture: Image.Image, *, masked: bool) -> tuple[np.ndarray[Any, Any], Tensor]:
        """The arithmetic of the card: probabilities, and the normalised text features."""
        from transformers import BertTokenizer, CLIPImageProcessorPil

        inputs = BertTokenizer.from_pretrained(self.text_folder)(texts, return_tensors="pt", padding=True)
        pixels = CLIPImageProcessorPil.from_pretrained(self.image_folder)(picture, return_tensors="pt")
        text_features = self.text_features(inputs["input_ids"], inputs["attention_mask"] if masked else None)
        with torch.no_grad():
            image_features = self.image.get_image_features(pixels["pixel_values"]).pooler_output
            image_features = image_features / image_features.norm(dim=1, keepdim=True)
            text_features = text_features / text_features.norm(dim=1, keepdim=True)
            logits_per_image = self.image.logit_scale.exp() * image_features @ text_features.t()
        return logits_per_image.softmax(dim=-1).numpy(), text_features


@pytest.fixture(scope="module", params=KINDS)
def released(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Released:
    return Released(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def classifier(tmp_path: Path) -> Released:
    return Released("taiyi-classifier", tmp_path)


@pytest.fixture
def pooler(tmp_path: Path) -> Released:
    return Released("taiyi-pooler", tmp_path)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.effect_mandelbrot((70, 41), (-2, -1.5, 1, 1.5), 50).convert("RGB")


def opened(released: Released, **options: Any) -> Encoder:
    return Encoder(released.text_folder, image_weights=released.image_folder, device="cpu", **options)


class TestTheCards:
    @pytest.mark.parametrize("head", ["retrieval", "unmasked"])
    def test_the_short_form_gives_the_same_probabilities(
        self, released: Released, picture: Image.Image, head: str
    ) -> None:
        expected, features = released.card(TEXTS, picture, masked=head == "retrieval")
        encoder = opened(released, head=head)
        chances = dict(encoder.classify(picture, TEXTS, templates=None))
        np.testing.assert_allclose([chances[text] for text in TEXTS], expected[0], atol=1e-5)
        np.testing.assert_allclose(encoder.encode_texts(TEXTS), features.numpy(), atol=1e-5)
        assert encoder.logit_scale == pytest.approx(1.7)

    def test_unnormalised_features_of_both_readouts(self, released: Released) -> None:
        ids_BL = oracles.ids() % VOCABULARY
        ids_BL[:, 0], ids_BL[ids_BL == oracles.PAD] = 3, 0
        mask_BL = (ids_BL != 0).long()
        model = opened(released).model
        with torch.no_grad():
            masked, unmasked = model.encode_text(ids_BL, mask_BL), model.encode_text(ids_BL, mask_BL, "unmasked")
        assert torch.allclose(masked, released.text_features(ids_BL, mask_BL), atol=1e-5)
        assert torch.allclose(unmasked, released.text_features(ids_BL, None), atol=1e-5)
        assert torch.allclose(masked[0], unmasked[0], atol=1e-5)  # the one without padding
        assert not torch.allclose(masked[1:], unmasked[1:], atol=1e-2)

    def test_image_features(self, released: Released, picture: Image.Image) -> None:
        encoder = opened(released)
        assert encoder.image_processor is not None
        pixels = torch.from_numpy(encoder.image_processor.preprocess(picture))[None]
        with torch.no_grad():
            expected = released.image.get_image_features(pixels).pooler_output
            assert torch.allclose(encoder.model.encode_image(pixels), expected, atol=1e-5)

    def test_an_image_tower_of_open_clip(self, released: Released, picture: Image.Image, tmp_path: Path) -> None:
        """The cards take theirs from there."""
        state = {**image_side(released.image.state_dict()), "logit_scale": released.image.logit_scale.data}
        state |= _text_side()
        state["text_projection"] = torch.randn(32, KINDS[released.family][2])
        save_file(state, tmp_path / "open_clip_model.safetensors")
        vision = {"image_size": 30, "layers": 2, "width": 36, "head_width": 12, "patch_size": 6, "mlp_ratio": 41.2 / 36}
        text = {"context_length": 8, "vocab_size": 9, "width": 32, "heads": 4, "layers": 0}
        model = {"embed_dim": KINDS[released.family][2], "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
        settings = {"model_cfg": model, "preprocess_cfg": PREPROCESSING}
        (tmp_path / "open_clip_config.json").write_text(json.dumps(settings), encoding="utf-8")
        encoder = Encoder(released.text_folder, image_weights=tmp_path, device="cpu")
        assert encoder.image_processor is not None
        pixels = torch.from_numpy(encoder.image_processor.preprocess(picture))[None]
        with torch.no_grad():
            expected = released.image.get_image_features(pixels).pooler_output
            assert torch.allclose(encoder.model.encode_image(pixels), expected, atol=1e-5)
        assert encoder.logit_scale == pytest.approx(1.7)
        assert encoder.classify(picture, TEXTS, templates=None)[0].label in TEXTS


def _text_side() -> dict[str, Tensor]:
    """A text tower without layers: only its image tower is wanted."""
    names = {"token_embedding.weight": (9, 32), "positional_embedding": (8, 32), "ln_final.weight": (32,)}
    return {name: torch.ones(shape) for name, shape in {**names, "ln_final.bias": (32,)}.items()}


class TestUnmasked:
    def test_texts_of_one_call_are_filled_up_to_the_longest(self, released: Released, picture: Image.Image) -> None:
        """In whatever batches they are computed."""
        _, expected = released.card(TEXTS, picture, masked=False)
        encoder = opened(released, head="unmasked")
        for batch_size in (1, 2, "auto"):
            rows = encoder.encode_texts(TEXTS, batch_size=batch_size)
            np.testing.assert_allclose(rows, expected.numpy(), atol=1e-5)
        np.testing.assert_allclose(encoder.encode_texts(iter(TEXTS)), expected.numpy(), atol=1e-5)
        np.testing.assert_allclose(encoder.encode_texts(tuple(TEXTS)), expected.numpy(), atol=1e-5)
        assert np.abs(encoder.encode_texts(TEXTS[0]) - expected.numpy()[:1]).max() > 1e-3
        assert encoder.encode_texts([]).shape == (0, encoder.dim)

    def test_a_list_is_one_window_and_an_iterator_many(
        self, released: Released, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("altclip.encoder.batching._WINDOW_TEXTS", 2)
        encoder = opened(released, head="unmasked")
        _, whole = released.card(TEXTS, picture, masked=False)
        np.testing.assert_allclose(encoder.encode_texts(TEXTS), whole.numpy(), atol=1e-5)
        parts = [released.card(TEXTS[start : start + 2], picture, masked=False)[1] for start in (0, 2, 4)]
        np.testing.assert_allclose(encoder.encode_texts(iter(TEXTS)), torch.cat(parts).numpy(), atol=1e-5)

    def test_masked_embeddings_do_not_depend_on_the_texts_around(self, released: Released) -> None:
        encoder = opened(released)
        np.testing.assert_allclose(encoder.encode_texts(TEXTS[0]), encoder.encode_texts(TEXTS)[:1], atol=1e-6)

    def test_digests_differ(self, released: Released) -> None:
        assert opened(released).digest != opened(released, head="unmasked").digest

    def test_other_families_have_none(self, released: Released) -> None:
        with pytest.raises(UsageError, match="head 'unmasked' is none of this model's"):
            Encoder("mini", device="cpu", head="unmasked")
        with pytest.raises(UsageError, match="head 'diffusion' is not known: expected one of retrieval, unmasked"):
            Encoder("no/such/model", head="diffusion")

    def test_from_a_model_at_hand(self, released: Released, picture: Image.Image) -> None:
        from altclip.processing import Processor

        encoder = opened(released)
        assert encoder.image_processor is not None
        assert encoder.tokenizer is not None
        processor = Processor(encoder.image_processor, encoder.tokenizer)
        held = Encoder.from_model(encoder.model, processor, head="unmasked")
        _, expected = released.card(TEXTS, picture, masked=False)
        np.testing.assert_allclose(held.encode_texts(TEXTS), expected.numpy(), atol=1e-5)
        assert held.digest != Encoder.from_model(encoder.model, processor).digest


class TestToldFromFiles:
    def test_a_classifier_is_taiyi(self, classifier: Released) -> None:
        checkpoint = open_checkpoint(classifier.text_folder)
        assert checkpoint.layout is TAIYI_TEXT
        assert checkpoint.config.heads == heads_of("taiyi-classifier")
        assert checkpoint.config.text is not None
        assert checkpoint.config.text.project_dim == 16
        _, report = load_with_report(classifier.text_folder)
        assert report.ok
        assert not report.ignored
        assert not report.contradictions

    def test_a_bert_with_its_pooler_is_a_tower_until_a_readout_is_asked_for(self, pooler: Released) -> None:
        checkpoint = open_checkpoint(pooler.text_folder)
        assert checkpoint.layout is BERT_TOWER
        assert not checkpoint.config.heads
        assert with_readout(checkpoint).layout is TAIYI_POOLER_TEXT
        assert with_readout(checkpoint).config.heads == heads_of("taiyi-pooler")

    def test_others_stay_as_they_are(self, classifier: Released, tmp_path: Path) -> None:
        for folder in (classifier.text_folder, oracles.saved(oracles.text_tower("XLMRobertaModel"), tmp_path / "x")):
            checkpoint = open_checkpoint(folder)
            assert with_readout(checkpoint) is checkpoint

    def test_the_tower_to_start_from_goes_on_working(self, tmp_path: Path) -> None:
        """chinese-roberta-wwm-ext is a BertForMaskedLM with a pooler and the heads of its training."""
        theirs = oracles.text_tower("BertForPreTraining", vocab_size=VOCABULARY, pad_token_id=0)
        model = load_model(oracles.saved(theirs, tmp_path))
        assert not model.config.heads
        assert not any("pooler" in name for name in model.state_dict())

    def test_a_pooler_with_the_heads_of_masked_training_beside_it(self, pooler: Released, tmp_path: Path) -> None:
        """Files that keep them are read all the same when a read-out is asked for."""
        tensors = {f"bert.{key}": t for key, t in load_file(pooler.text_folder / "model.safetensors").items()}
        tensors["cls.predictions.bias"] = torch.ones(VOCABULARY)
        save_file(tensors, pooler.text_folder / "model.safetensors")
        plain = Encoder(pooler.text_folder, image_weights=pooler.image_folder, device="cpu")
        np.testing.assert_allclose(plain.encode_texts("一只猫"), _reference(pooler, "一只猫"), atol=1e-5)

    @pytest.mark.parametrize("gone", ["classifier.bias", "bert.pooler.dense.weight"])
    def test_a_tensor_that_is_missing(self, classifier: Released, gone: str) -> None:
        tensors = load_file(classifier.text_folder / "model.safetensors")
        del tensors[gone]
        save_file(tensors, classifier.text_folder / "model.safetensors")
        with pytest.raises(WeightsError, match=f"1 missing: {gone.removeprefix('bert.')}"):
            load_model(classifier.text_folder)

    def test_a_tensor_too_many(self, classifier: Released) -> None:
        tensors = {**load_file(classifier.text_folder / "model.safetensors"), "stray": torch.ones(1)}
        save_file(tensors, classifier.text_folder / "model.safetensors")
        with pytest.raises(WeightsError, match="1 unexpected: stray"):
            load_model(classifier.text_folder)

    def test_what_it_is(self, released: Released) -> None:
        told = describe(released.text_folder)
        assert told.family == ("Taiyi text encoder" if released.family == "taiyi-classifier" else "Hugging Face BERT")
        assert told.parameters["image"] == 0
        assert told.config is not None
        assert list(told.config["heads"]) == (["retrieval", "unmasked"] if "classifier" in released.family else [])


def _reference(released: Released, text: str) -> np.ndarray[Any, Any]:
    ids_BL = torch.tensor([Tokenizer.from_folder(released.text_folder).encode(text)])
    features = released.text_features(ids_BL, None)
    normalised: np.ndarray[Any, Any] = torch.nn.functional.normalize(features).numpy()
    return normalised


class TestWithoutAnImageTower:
    def test_texts_are_read_and_images_say_what_is_wanted(self, classifier: Released, picture: Image.Image) -> None:
        encoder = Encoder(classifier.text_folder, device="cpu")
        np.testing.assert_allclose(encoder.encode_texts("一只猫"), _reference(classifier, "一只猫"), atol=1e-5)
        assert encoder.dim == 16
        with pytest.raises(UsageError, match="has no image tower.*image_weights="):
            encoder.encode_images(picture)

    @pytest.mark.parametrize(
        ("family", "width", "weights"),
        [
            ("taiyi-classifier", 512, "openai/clip-vit-base-patch32"),
            ("taiyi-classifier", 768, "openai/clip-vit-large-patch14"),
            ("taiyi-pooler", 768, "openai/clip-vit-large-patch14"),
        ],
    )
    def test_the_released_ones_name_their_tower(self, family: str, width: int, weights: str) -> None:
        from altclip.encoder.companions import wanted_image_tower
        from altclip.models import ModelConfig, TextConfig

        text = TextConfig(architecture="bert", hidden_size=768, num_attention_heads=12, project_dim=width)
        wanted = wanted_image_tower(ModelConfig(vision=None, text=text, heads=heads_of(family)))
        assert f'image_weights="{weights}"' in wanted

    def test_a_bert_alone_says_what_it_may_be(self, pooler: Released) -> None:
        with pytest.raises(LayoutError, match="without a read-out.*if it is a text encoder of Taiyi.*image_weights="):
            Encoder(pooler.text_folder, device="cpu")

    def test_a_tower_of_another_space(self, classifier: Released, tmp_path: Path) -> None:
        other = Released("taiyi-pooler", tmp_path / "other")
        with pytest.raises(LayoutError, match="text embeddings have 16 numbers, image embeddings 32"):
            Encoder(classifier.text_folder, image_weights=other.image_folder, device="cpu")

    def test_a_tokenizer_of_another_model(self, classifier: Released) -> None:
        lines = (classifier.text_folder / "vocab.txt").read_text(encoding="utf-8")
        more = "".join(f"word{number}\n" for number in range(100))
        (classifier.text_folder / "vocab.txt").write_text(lines + more, encoding="utf-8")
        with pytest.raises(LayoutError, match="the tokenizer has 342 tokens, the text tower 300"):
            opened(classifier)


class TestSaving:
    def test_both_towers_there_and_back(self, released: Released, picture: Image.Image, tmp_path: Path) -> None:
        encoder = opened(released)
        encoder.save(tmp_path)
        layout = TAIYI_CLASSIFIER if released.family == "taiyi-classifier" else TAIYI
        checkpoint = open_checkpoint(tmp_path)
        assert checkpoint.layout is layout
        again = Encoder(tmp_path, device="cpu")
        assert again.model.config == encoder.model.config
        state = encoder.model.state_dict()
        assert again.model.state_dict().keys() == state.keys()
        assert all(torch.equal(t, state[key]) for key, t in again.model.state_dict().items())
        assert again.classify(picture, TEXTS) == encoder.classify(picture, TEXTS)
        unmasked = Encoder(tmp_path, device="cpu", head="unmasked")
        _, expected = released.card(TEXTS, picture, masked=False)
        np.testing.assert_allclose(unmasked.encode_texts(TEXTS), expected.numpy(), atol=1e-5)
        assert describe(tmp_path).family == layout.name

    def test_the_text_encoder_alone_is_what_transformers_opens(self, classifier: Released, tmp_path: Path) -> None:
        model = load_model(classifier.text_folder)
        assert layout_for(model.config) is TAIYI_TEXT
        save_model(model, tmp_path)
        theirs = opened_by_transformers("BertForSequenceClassification", tmp_path)
        ids_BL = oracles.ids(padded=False)
        with torch.no_grad():
            assert torch.allclose(theirs(ids_BL).logits, classifier.text_features(ids_BL, None), atol=1e-5)
        again = load_model(tmp_path)
        assert again.config == model.config
        assert all(torch.equal(t, again.state_dict()[key]) for key, t in model.state_dict().items())
