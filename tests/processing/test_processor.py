"""Image processor and tokenizer as one, beside transformers' AltCLIPProcessor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from altclip.errors import ImageError, LayoutError, UsageError
from altclip.processing import ImageProcessor, Processor, Tokenizer
from tests.processing.tiny import SENTENCES

IMAGES = [
    Image.linear_gradient("L").resize((70, 40)).convert("RGB"),
    Image.radial_gradient("L").resize((30, 90)).convert("RGB"),
]


@pytest.fixture
def processor(folders: dict[str, Path]) -> Processor:
    return Processor(ImageProcessor(), Tokenizer.from_folder(folders["sentencepiece"]))


@pytest.fixture
def reference(folders: dict[str, Path]) -> Any:
    """transformers' processor around the same settings and files."""
    from transformers import AltCLIPProcessor, XLMRobertaTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    return AltCLIPProcessor(CLIPImageProcessorPil(), XLMRobertaTokenizer.from_pretrained(folders["sentencepiece"]))


def assert_same(ours: Any, theirs: Any) -> None:
    assert list(ours) == list(theirs)
    for name in ours:
        assert ours[name].dtype == theirs[name].dtype
        np.testing.assert_array_equal(np.asarray(ours[name]), np.asarray(theirs[name]))


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": SENTENCES, "images": IMAGES, "padding": True},
        {"text": SENTENCES[:1], "images": IMAGES[0]},
        {"text": SENTENCES[0]},
        {"text": SENTENCES, "padding": "max_length", "truncation": True, "max_length": 40},
        {"images": IMAGES},
        {"text": ["a </s> b", "<mask>"], "padding": True},
    ],
)
@pytest.mark.parametrize("tensors", ["pt", "np"])
def test_the_processor_of_the_model_cards(processor: Processor, reference: Any, arguments: Any, tensors: Any) -> None:
    assert_same(processor(return_tensors=tensors, **arguments), reference(return_tensors=tensors, **arguments))


def test_lists_where_no_tensors_are_asked_for(processor: Processor, reference: Any) -> None:
    ours, theirs = processor(text=SENTENCES, images=IMAGES), reference(text=SENTENCES, images=IMAGES)
    assert ours.input_ids == theirs["input_ids"]
    assert ours.attention_mask == theirs["attention_mask"]
    np.testing.assert_array_equal(np.stack(ours.pixel_values), np.stack(theirs["pixel_values"]))


def test_a_long_text_is_cut_where_the_original_crashes_the_model(processor: Processor) -> None:
    batch = processor(["the cat " * 700, "cat"], padding=True, return_tensors="pt")
    assert batch.input_ids.shape == (2, 512)
    assert batch.input_ids[0, -1] == processor.tokenizer.eos_token_id
    assert len(processor("the cat " * 700, truncation=False).input_ids) > 512
    assert len(processor("the cat " * 700, max_length=9).input_ids) == 9


def test_special_strings_can_be_text(processor: Processor) -> None:
    mask = processor.tokenizer.mask_token_id
    assert mask in processor("<mask>").input_ids
    assert mask not in processor("<mask>", split_special_tokens=True).input_ids


def test_decoding(processor: Processor, reference: Any) -> None:
    rows = processor(SENTENCES, padding=True, return_tensors="pt").input_ids
    assert processor.batch_decode(rows) == reference.batch_decode(rows)
    assert processor.batch_decode(rows, skip_special_tokens=True) == reference.batch_decode(
        rows, skip_special_tokens=True
    )
    assert processor.decode(rows[0], skip_special_tokens=True) == SENTENCES[0]
    assert processor.model_input_names == reference.model_input_names


def test_saved_and_opened_again_by_both(processor: Processor, tmp_path: Path) -> None:
    from transformers import AltCLIPProcessor

    processor.save(tmp_path)
    expected = processor(SENTENCES, IMAGES, padding=True, return_tensors="np")
    assert_same(Processor.from_folder(tmp_path)(SENTENCES, IMAGES, padding=True, return_tensors="np"), expected)
    theirs = AltCLIPProcessor.from_pretrained(tmp_path)
    assert_same(theirs(text=SENTENCES, images=IMAGES, padding=True, return_tensors="np"), expected)


def test_a_folder_that_transformers_wrote(reference: Any, tmp_path: Path) -> None:
    reference.save_pretrained(tmp_path)
    assert not (tmp_path / "preprocessor_config.json").exists()  # transformers 5 keeps the settings elsewhere
    ours = Processor.from_folder(tmp_path)(SENTENCES, IMAGES, padding=True, return_tensors="np")
    assert_same(ours, reference(text=SENTENCES, images=IMAGES, padding=True, return_tensors="np"))


def test_wrong_calls(processor: Processor, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pass text, images, or both"):
        processor()
    with pytest.raises(UsageError, match="pass padding=True"):
        processor(SENTENCES, return_tensors="pt")
    with pytest.raises(UsageError, match="return_tensors='jax'"):
        processor(SENTENCES, return_tensors="jax")  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="there is no such file"):
        processor(images=tmp_path / "missing.jpg")
    with pytest.raises(TypeError, match="text_pairs"):
        processor(SENTENCES, text_pairs=SENTENCES)  # type: ignore[call-arg]
    with pytest.raises(LayoutError, match=r"preprocessor_config\.json"):
        Processor.from_folder(tmp_path)
    processor.image_processor.save(tmp_path)
    with pytest.raises(LayoutError, match="has no tokenizer"):
        Processor.from_folder(tmp_path)
