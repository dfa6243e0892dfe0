"""What the UNet is conditioned on equals diffusers' own class, in the ways that pipelines call it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from altclip import AltCLIPTextModel
from altclip.checkpoints import load_model
from altclip.diffusion import AltDiffusionTextEncoder
from altclip.diffusion.tokens import PromptTokenizer, left_out
from altclip.errors import LayoutError, UsageError
from tests.checkpoints.families import assert_close, assert_round_trip, inputs
from tests.diffusion import made
from tests.models import oracles
from tests.tiny import tiny_model_folder


@pytest.fixture(scope="module", params=[False, True], ids=["m9", "m18"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    """diffusers' class, ours from its folder, and the folder."""
    theirs = made.text_encoder(m18=request.param)
    folder = oracles.saved(theirs, tmp_path_factory.mktemp("encoder"))
    return theirs, AltDiffusionTextEncoder.from_pretrained(folder), folder


def states(encoder: Any, ids: Tensor, mask: Tensor | None, **options: Any) -> Tensor:
    with torch.no_grad():
        return encoder(ids, attention_mask=mask, **options)[0]


def test_the_states_are_those_of_diffusers(pair: tuple[Any, Any, Path]) -> None:
    theirs, ours, _ = pair
    ids, mask, _ = inputs()
    for given in (mask, None):
        expected = states(theirs, ids, given)
        assert expected.shape == (4, ids.shape[1], made.WIDTH)
        assert_close(states(ours, ids, given), expected)
        assert_close(states(ours, ids, given, return_dict=False), expected)
    assert (states(ours, ids, mask) - states(ours, ids, None)).abs().max() > 1e-2


def test_the_other_outputs_too(pair: tuple[Any, Any, Path]) -> None:
    theirs, ours, _ = pair
    ids, mask, _ = inputs()
    with torch.no_grad():
        a, b = (e(ids, attention_mask=mask, output_hidden_states=True, return_dict=True) for e in (ours, theirs))
    assert_close(a.projection_state, b.projection_state)
    assert_close(a.last_hidden_state, b.last_hidden_state)
    assert len(a.hidden_states) == len(b.hidden_states) == 4
    for x, y in zip(a.hidden_states, b.hidden_states, strict=True):
        assert_close(x, y)


def test_a_configuration_without_the_mask(tmp_path: Path) -> None:
    theirs = made.text_encoder(use_attention_mask=False)
    ours = AltDiffusionTextEncoder.from_pretrained(oracles.saved(theirs, tmp_path))
    assert ours.config.use_attention_mask is False
    ids, mask, _ = inputs()
    assert_close(states(ours, ids, mask), states(theirs, ids, None))


def test_what_pipelines_look_up(pair: tuple[Any, Any, Path]) -> None:
    theirs, ours, folder = pair
    for name in ("hidden_size", "project_dim", "num_hidden_layers", "vocab_size", "use_attention_mask", "pad_token_id"):
        assert getattr(ours.config, name) == getattr(theirs.config, name)
    assert (ours.dtype, ours.device, ours.training) == (torch.float32, torch.device("cpu"), False)
    assert not hasattr(ours, "text_model")
    half = AltDiffusionTextEncoder.from_pretrained(folder, torch_dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16


def test_saved_and_opened_by_diffusers(pair: tuple[Any, Any, Path], tmp_path: Path) -> None:
    theirs, ours, _ = pair
    ours.save_pretrained(tmp_path)
    ids, mask, _ = inputs()
    again = type(theirs).from_pretrained(tmp_path).eval()
    assert_close(states(again, ids, mask), states(theirs, ids, mask))
    assert_round_trip(load_model(tmp_path), tmp_path / "again")


def test_an_altclip_conditions_as_flagai_reads_it(tmp_path: Path) -> None:
    altclip = oracles.altclip(text={"project_dim": made.WIDTH})
    ours = AltDiffusionTextEncoder.from_pretrained(oracles.saved(altclip, tmp_path))
    ids, mask, _ = inputs()
    tower = altclip.text_model
    with torch.no_grad():
        last = tower.roberta(ids, attention_mask=mask).last_hidden_state
        assert_close(states(ours, ids, mask), tower.transformation(last))  # no norm, which AltCLIP itself has
    ours.save_pretrained(tmp_path / "encoder")
    again = AltDiffusionTextEncoder.from_pretrained(tmp_path / "encoder")
    assert torch.equal(states(again, ids, mask), states(ours, ids, mask))
    AltCLIPTextModel.from_pretrained(tmp_path).save_pretrained(tmp_path / "tower")  # its text tower alone, too
    assert torch.equal(
        states(AltDiffusionTextEncoder.from_pretrained(tmp_path / "tower"), ids, mask), states(ours, ids, mask)
    )


def test_another_model_is_refused(tmp_path: Path) -> None:
    clip = oracles.saved(oracles.clip(), tmp_path / "clip")
    with pytest.raises(LayoutError, match=r"clip, heads retrieval.*conditions no AltDiffusion.*expected"):
        AltDiffusionTextEncoder.from_pretrained(clip)
    ours = tiny_model_folder(tmp_path / "altclip")
    assert AltDiffusionTextEncoder.from_pretrained(ours).config.use_attention_mask


def test_room_for_new_words(tmp_path: Path) -> None:
    ours = AltDiffusionTextEncoder.from_pretrained(oracles.saved(made.text_encoder(), tmp_path))
    before = ours.get_input_embeddings().weight.clone()
    assert ours.resize_token_embeddings(402).num_embeddings == 402
    after = ours.get_input_embeddings().weight
    assert torch.equal(after[:400], before)
    assert not after[400:].any()
    assert ours.config.vocab_size == 402
    ours.save_pretrained(tmp_path / "wider")
    assert AltDiffusionTextEncoder.from_pretrained(tmp_path / "wider").config.vocab_size == 402
    assert ours.resize_token_embeddings(400).num_embeddings == ours.resize_token_embeddings().num_embeddings == 400
    with pytest.raises(UsageError, match="0 tokens"):
        ours.resize_token_embeddings(0)


def test_prompts_are_cut_at_77_whatever_the_files_say(tokenizer: Path, tmp_path: Path) -> None:
    from tests.checkpoints.families import with_xlm_tokenizer

    long = PromptTokenizer.from_folder(with_xlm_tokenizer(tmp_path / "long", model_max_length=512))
    assert long.model_max_length == 77
    assert PromptTokenizer.from_folder(tokenizer).model_max_length == 77
    short = PromptTokenizer.from_folder(with_xlm_tokenizer(tmp_path / "short", model_max_length=20))
    assert short.model_max_length == 20


def test_what_is_left_out_is_what_stands_behind_the_last_token(tokenizer: Path) -> None:
    prompts = PromptTokenizer.from_folder(tokenizer)
    text = " ".join(["the cat"] * 100) + " il gatto nero"
    count, rest = left_out(prompts, text)
    assert count == len(prompts.encode(text)) > 77
    kept = prompts(text, truncation=True, max_length=77)["input_ids"]
    assert text.endswith(rest)
    assert (prompts.decode(kept[1:-1]) + rest).replace(" ", "") == text.replace(" ", "")  # a word may be parted
    assert left_out(prompts, "the cat") == (len(prompts.encode("the cat")), "")


def test_words_are_added_as_transformers_adds_them(tokenizer: Path) -> None:
    prompts = PromptTokenizer.from_folder(tokenizer)
    size = len(prompts)
    assert prompts.convert_tokens_to_ids("<mine>") == prompts.unk_token_id
    assert prompts.add_tokens("<mine>") == prompts.add_tokens(["<mine>", "<mine>_1"]) == 1
    assert len(prompts) == size + 2
    assert prompts.convert_tokens_to_ids(["<mine>", "</s>"]) == [size, 2]
    assert prompts.get_vocab()["<mine>_1"] == size + 1
    assert size in prompts("the <mine> cat", split_special_tokens=True)["input_ids"]
    assert 2 not in prompts("the </s> cat", split_special_tokens=True)["input_ids"][1:-1]
