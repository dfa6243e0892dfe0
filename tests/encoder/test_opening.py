"""Opening a model: choices checked first, what it knows of itself, saved and opened again, joined from two."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch

from altclip.checkpoints import save_model
from altclip.encoder import Encoder
from altclip.engines import TorchEngine, choose, dtype_for
from altclip.errors import AltclipError, CheckpointError, HubError, LayoutError, UsageError
from altclip.models import DualEncoder, Head, heads_of
from altclip.processing import Processor
from tests.bad import BAD_MODELS
from tests.tiny import DIM, tiny_config, tiny_model, tiny_model_folder, tiny_processor

TEXTS = ["a cat", "一只猫"]


def test_what_it_knows_of_itself(encoder: Encoder, tiny_folder: Path) -> None:
    assert encoder.dim == DIM
    assert encoder.device == torch.device("cpu")
    assert encoder.dtype == torch.float32
    assert encoder.logit_scale == pytest.approx(2.6592)
    assert encoder.folder == tiny_folder
    assert encoder.engine.name == "torch"
    assert encoder.engine_reason == "torch: a model of 0 M parameters starts faster in it"
    assert repr(encoder) == f"Encoder({str(tiny_folder)!r}, device='cpu', dtype='torch.float32', engine='torch')"
    assert encoder.languages is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "onyx"}, "engine 'onyx' is not known: expected one of auto, torch"),
        ({"precision": "sloppy"}, "precision 'sloppy' is not known: expected one of fast, exact"),
        ({"device": "tpu"}, "tpu"),
        ({"dtype": "int3"}, "int3"),
    ],
)
def test_a_wrong_choice_is_found_before_anything_is_loaded(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Encoder("no/such/model", **options)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64", torch.bfloat16])
def test_a_dtype_that_is_named_is_computed_in(tiny_folder: Path, encoder: Encoder, dtype: Any) -> None:
    other = Encoder(tiny_folder, device="cpu", dtype=dtype, precision="exact")
    assert other.dtype == (getattr(torch, dtype) if isinstance(dtype, str) else dtype)
    rows = other.encode_texts(TEXTS)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, encoder.encode_texts(TEXTS), atol=0.2)
    assert other.encode_images(np.zeros((9, 9, 3), np.uint8)).dtype == np.float32


def test_exact_is_float32_where_fast_would_not_be() -> None:
    assert dtype_for("auto", "exact", torch.device("cuda")) == torch.float32
    assert dtype_for("auto", "fast", torch.device("cpu")) == torch.float32
    assert dtype_for("bfloat16", "exact", torch.device("cpu")) == torch.bfloat16


def test_exact_leaves_no_short_cuts_to_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TorchEngine(tiny_model(), exact=True)
    monkeypatch.setattr(TorchEngine, "device", torch.device("cuda"))
    before = torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32
    assert before[1] is True
    with engine._arithmetic():
        assert (torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32) == (before[0], False)
    assert (torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32) == before


def test_choosing_an_engine() -> None:
    engine, reason = choose("torch", tiny_model(), precision="exact")
    assert (engine.name, reason) == ("torch", "torch: asked for by name")
    with pytest.raises(UsageError, match="expected one of auto, torch"):
        choose("tensorflow", tiny_model())


class TestFromModel:
    def test_a_model_at_hand_gives_what_its_folder_gives(self, encoder: Encoder) -> None:
        held = Encoder.from_model(tiny_model(), tiny_processor())
        np.testing.assert_allclose(held.encode_texts(TEXTS), encoder.encode_texts(TEXTS), atol=1e-6)
        assert held.folder is None
        assert held.languages is None
        assert "DualEncoder" in held.name

    def test_it_is_put_into_eval_mode(self) -> None:
        model = tiny_model().train()
        held = Encoder.from_model(model, tiny_processor())
        assert not model.training
        np.testing.assert_array_equal(held.encode_texts(TEXTS), held.encode_texts(TEXTS))

    def test_the_class_of_the_model_cards_is_taken_too(self, tiny_folder: Path, encoder: Encoder) -> None:
        from altclip.hf import AltCLIPModel, AltCLIPProcessor

        held = Encoder.from_model(
            AltCLIPModel.from_pretrained(tiny_folder), AltCLIPProcessor.from_pretrained(tiny_folder)
        )
        np.testing.assert_allclose(held.encode_texts(TEXTS), encoder.encode_texts(TEXTS), atol=1e-6)

    def test_later_changes_of_the_model_count(self) -> None:
        model = tiny_model()
        held = Encoder.from_model(model, tiny_processor())
        model.to(torch.bfloat16)
        assert held.dtype == torch.bfloat16

    @pytest.mark.parametrize("model", [None, "mini", torch.nn.Linear(2, 2)])
    def test_what_is_no_model_is_refused(self, model: Any) -> None:
        with pytest.raises(UsageError, match="DualEncoder or an AltCLIPModel"):
            Encoder.from_model(model, tiny_processor())

    def test_a_tokenizer_that_the_weights_were_not_trained_with_is_refused(self, tmp_path: Path) -> None:
        folder = tiny_model_folder(tmp_path / "model")
        config = json.loads((folder / "config.json").read_text())
        right = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
        (folder / "config.json").write_text(json.dumps({**config, "tokenizer_sha256": right}))
        assert Encoder(folder).dim
        (folder / "config.json").write_text(json.dumps({**config, "tokenizer_sha256": "0" * 64}))
        with pytest.raises(LayoutError, match="not the tokenizer that the weights were trained with"):
            Encoder(folder)

    def test_a_processor_of_another_model_is_refused(self) -> None:
        processor = tiny_processor()
        large = Processor(
            replace(processor.image_processor, crop_size={"height": 64, "width": 64}), processor.tokenizer
        )
        with pytest.raises(LayoutError, match="64x64 pixels, the image tower takes 32x32"):
            Encoder.from_model(tiny_model(), large)
        with pytest.raises(LayoutError, match="tokenizer has .* tokens, the text tower 100"):
            Encoder.from_model(tiny_model(config=tiny_config(vocab_size=100)), processor)

    def test_tokens_that_were_added_since_are_refused(self, tmp_path: Path) -> None:
        folder = tiny_model_folder(tmp_path / "model")
        backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        backend.add_special_tokens(["<special>"])  # in no text
        backend.save(str(folder / "tokenizer.json"))
        room = tiny_config().text.vocab_size - backend.get_vocab_size()  # type: ignore[union-attr]
        assert Encoder(folder).dim
        backend.add_tokens([f"zebrafinch{number}" for number in range(room + 1)])
        backend.save(str(folder / "tokenizer.json"))
        with pytest.raises(LayoutError, match="tokens were added since"):
            Encoder(folder)

    def test_a_text_tower_without_a_read_out_is_refused(self) -> None:
        with pytest.raises(LayoutError, match="without a read-out"):
            Encoder.from_model(tiny_model(config=replace(tiny_config(), heads={})), tiny_processor())

    def test_towers_of_different_spaces_are_refused(self) -> None:
        config = replace(tiny_config(), heads={"retrieval": Head()})  # 32 wide, where images have 16
        with pytest.raises(LayoutError, match="text embeddings have 32 numbers, image embeddings 16"):
            Encoder.from_model(tiny_model(config=config), tiny_processor())


class TestSaving:
    def test_saved_and_opened_again_it_is_the_same(self, encoder: Encoder, photos: list[Path], tmp_path: Path) -> None:
        assert encoder.save(tmp_path / "copy") == tmp_path / "copy"
        again = Encoder(tmp_path / "copy", device="cpu")
        np.testing.assert_array_equal(again.encode_texts(TEXTS), encoder.encode_texts(TEXTS))
        np.testing.assert_array_equal(again.encode_images(photos), encoder.encode_images(photos))
        assert again.digest == encoder.digest
        assert not [path.name for path in (tmp_path / "copy").iterdir() if path.name.startswith(".")]

    def test_it_may_go_over_the_folder_it_came_from(self, tiny_folder: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(tiny_folder, tmp_path / "own"))
        opened = Encoder(folder, device="cpu")
        expected = opened.encode_texts(TEXTS)
        opened.save(folder)
        np.testing.assert_array_equal(opened.encode_texts(TEXTS), expected)
        np.testing.assert_array_equal(Encoder(folder, device="cpu").encode_texts(TEXTS), expected)

    def test_what_fails_in_the_middle_leaves_the_old_files_whole(
        self, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = Path(shutil.copytree(tiny_folder, tmp_path / "own"))
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        opened = Encoder(folder, device="cpu")

        def full_disk(self: object, target: Any) -> None:
            (Path(target) / "tokenizer.json").write_text("{", encoding="utf-8")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("altclip.processing.Tokenizer.save", full_disk)
        with pytest.raises(CheckpointError, match="No space left"):
            opened.save(folder)
        after = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert after.keys() == before.keys()
        assert after["tokenizer.json"] == before["tokenizer.json"]
        Encoder(folder, device="cpu").encode_texts(TEXTS)

    def test_a_target_that_is_a_file_is_an_error(self, encoder: Encoder, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(CheckpointError, match="cannot be written"):
            encoder.save(tmp_path / "file")


class TestDigest:
    def test_it_is_of_the_model_and_not_of_how_it_runs(self, encoder: Encoder, tiny_folder: Path) -> None:
        assert len(encoder.digest) == 64
        assert Encoder(tiny_folder, device="cpu", dtype="bfloat16").digest == encoder.digest

    @pytest.mark.parametrize("name", ["tokenizer.json", "preprocessor_config.json", "model.safetensors"])
    def test_a_change_in_a_file_that_decides_changes_it(
        self, encoder: Encoder, tiny_folder: Path, tmp_path: Path, name: str
    ) -> None:
        folder = Path(shutil.copytree(tiny_folder, tmp_path / "own"))
        if name == "model.safetensors":
            save_model(tiny_model(seed=1), folder)
        else:
            (folder / name).write_text((folder / name).read_text(encoding="utf-8") + "\n", encoding="utf-8")
        assert Encoder(folder, device="cpu").digest != encoder.digest

    def test_what_decides_nothing_does_not_change_it(self, encoder: Encoder, tiny_folder: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(tiny_folder, tmp_path / "own"))
        (folder / "README.md").write_text("a card", encoding="utf-8")
        assert Encoder(folder, device="cpu").digest == encoder.digest

    def test_a_model_in_memory_has_one_too(self) -> None:
        first, same, other = (Encoder.from_model(tiny_model(seed), tiny_processor()) for seed in (0, 0, 1))
        assert first.digest == same.digest != other.digest


class TestImageWeights:
    @pytest.fixture
    def text_only(self, tmp_path: Path) -> Path:
        """A text encoder whose states are embeddings, as M-CLIP's are."""
        model = tiny_model(3, replace(tiny_config(), vision=None, heads=heads_of("m-clip")))
        save_model(model, tmp_path / "text")
        tiny_processor().tokenizer.save(tmp_path / "text")
        return tmp_path / "text"

    def test_the_image_tower_comes_from_another_model(
        self, text_only: Path, tiny_folder: Path, encoder: Encoder, photos: list[Path]
    ) -> None:
        joined = Encoder(text_only, image_weights=tiny_folder, device="cpu")
        np.testing.assert_array_equal(joined.encode_images(photos), encoder.encode_images(photos))
        alone = Encoder(text_only, device="cpu")
        np.testing.assert_array_equal(joined.encode_texts(TEXTS), alone.encode_texts(TEXTS))
        assert joined.logit_scale == encoder.logit_scale
        assert joined.classify(photos[0], TEXTS)[0].label in TEXTS
        assert len({joined.digest, alone.digest, encoder.digest}) == 3

    def test_without_one_it_says_so(self, text_only: Path, photos: list[Path]) -> None:
        with pytest.raises(UsageError, match="image_weights"):
            Encoder(text_only, device="cpu").encode_images(photos)

    def test_a_model_that_has_one_needs_none(self, tiny_folder: Path) -> None:
        with pytest.raises(UsageError, match="leave it out"):
            Encoder(tiny_folder, image_weights=tiny_folder, device="cpu")

    def test_a_model_without_one_cannot_lend_it(self, text_only: Path) -> None:
        with pytest.raises(UsageError, match="has no image tower"):
            Encoder(text_only, image_weights=text_only, device="cpu")

    def test_another_space_is_refused(self, text_only: Path, tmp_path: Path) -> None:
        wide = replace(tiny_config(), projection_dim=24)
        save_model(tiny_model(config=wide), tmp_path / "wide")
        tiny_processor().save(tmp_path / "wide")
        with pytest.raises(LayoutError, match="16 numbers, image embeddings 24"):
            Encoder(text_only, image_weights=tmp_path / "wide", device="cpu")


class TestLanguages:
    def test_config_names_them(self, tiny_folder: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(tiny_folder, tmp_path / "own"))
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps({**settings, "languages": ["en", "ru"]}), encoding="utf-8")
        assert Encoder(folder, device="cpu").languages == ("en", "ru")

    def test_else_the_card_does(self, tiny_folder: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(tiny_folder, tmp_path / "own"))
        (folder / "README.md").write_text("---\nlanguage:\n- en\n- zh\n---\n# Card\n", encoding="utf-8")
        assert Encoder(folder, device="cpu").languages == ("en", "zh")


@pytest.mark.parametrize("name", BAD_MODELS)
def test_a_folder_that_is_not_right_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    folder = tiny_model_folder(tmp_path / "model")
    bad = BAD_MODELS[name]
    bad.spoil(folder)
    with pytest.raises(bad.error) as raised:
        Encoder(folder, device="cpu")
    assert isinstance(raised.value, AltclipError)
    assert bad.words in str(raised.value)
    assert not Path("it-ran").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("./no/such/folder", "no folder here"),
        (Path("nowhere"), "nowhere is no folder here"),
        (__file__, "is a file: give the folder it is in"),
        ("", "."),
    ],
)
def test_a_path_that_is_no_model_is_refused(name: Any, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        Encoder(name, device="cpu")


def test_a_hub_id_without_network_says_what_is_in_the_cache_and_how_to_go_on() -> None:
    with pytest.raises(HubError) as raised:
        Encoder("BAAI/AltCLIP-m9", device="cpu")
    message = str(raised.value)
    assert "holds nothing of it" in message
    assert "hf download BAAI/AltCLIP-m9" in message


def test_the_text_towers_of_two_models_share_no_weights_with_the_lender() -> None:
    """A model is a model: what from_model holds is the very object, not a copy."""
    model: DualEncoder = tiny_model()
    assert Encoder.from_model(model, tiny_processor()).model is model
