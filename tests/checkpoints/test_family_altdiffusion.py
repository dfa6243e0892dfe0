"""The text encoders of AltDiffusion, -m9 and -m18: the folders of diffusers, against its own (deprecated) class."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from altclip.checkpoints import load_model, load_with_report, read_settings, resolve, save_model
from altclip.checkpoints.layouts import layout_of
from altclip.encoder import Encoder
from altclip.errors import LayoutError, WeightsError
from altclip.models import heads_of
from altclip.processing import Tokenizer
from tests.checkpoints.fake_hub import serving
from tests.checkpoints.families import assert_close, assert_round_trip, inputs, with_xlm_tokenizer
from tests.checkpoints.test_hub import files, point_to
from tests.models import oracles

M18 = {"altdiffusion": False, "altdiffusion-m18": True}
SIZES = {
    **oracles.TEXT, "project_dim": 24, "layer_norm_eps": 1e-5, "pad_token_id": 1, "type_vocab_size": 1,
    "hidden_act": "gelu",
}  # fmt: skip


def text_encoder(family: str, **changes: Any) -> Any:
    """diffusers' class with random weights."""
    from diffusers.pipelines.deprecated.alt_diffusion import modeling_roberta_series as series

    config = series.RobertaSeriesConfig(**SIZES, has_pre_transformation=M18[family], **changes)
    return oracles.randomised(series.RobertaSeriesModelWithTransformation(config))


@pytest.fixture(scope="module", params=M18)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def written(family: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The class and a pipeline's folder with what it wrote, not to be changed."""
    theirs, pipeline = text_encoder(family), tmp_path_factory.mktemp("pipeline")
    oracles.saved(theirs, pipeline / "text_encoder")
    with_xlm_tokenizer(pipeline / "tokenizer", model_max_length=77)
    (pipeline / "model_index.json").write_text(json.dumps({"_class_name": "AltDiffusionPipeline"}))
    return theirs, pipeline


@pytest.fixture
def pipeline(written: tuple[Any, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(written[1], tmp_path / "pipeline"))


def states(theirs: Any, ids: Tensor, mask: Tensor | None) -> Tensor:
    """What conditions the UNet."""
    with torch.no_grad():
        return theirs(ids, attention_mask=mask, return_dict=True).projection_state


@pytest.mark.parametrize("place", ["", "text_encoder"], ids=["pipeline", "text_encoder"])
def test_the_numbers_of_diffusers(place: str, family: str, written: tuple[Any, Path], tmp_path: Path) -> None:
    theirs, pipeline = written
    model, report = load_with_report(pipeline / place)
    assert report.ok
    assert not report.contradictions
    assert all("pooler" in key or "position_ids" in key for key in report.ignored)
    assert model.config.vision is None
    assert model.config.heads == heads_of(family)
    ids, mask, _ = inputs()
    with torch.no_grad():
        ours = model.encode_text(ids, mask, head="diffusion")
        assert_close(ours, states(theirs, ids, mask))
        assert_close(model.encode_text(ids, head="diffusion"), states(theirs, ids, None))
    assert (states(theirs, ids, mask) - states(theirs, ids, None)).abs().max() > 1e-2  # so the mask was looked at
    assert_round_trip(model, tmp_path / "ours")


def test_the_two_are_told_from_their_tensors(family: str, written: tuple[Any, Path]) -> None:
    _, report = load_with_report(written[1])
    name = {"altdiffusion": "AltDiffusion text encoder", "altdiffusion-m18": "AltDiffusion-m18 text encoder"}[family]
    assert report.layout == name
    keys = [*report.used, *report.ignored]
    for model_type in ("xlm-roberta", "roberta_series_model_with_transformation", None):
        assert layout_of({"model_type": model_type, "hidden_size": 32}, keys).name == name


def test_diffusers_opens_what_is_saved(family: str, written: tuple[Any, Path], tmp_path: Path) -> None:
    theirs, pipeline = written
    save_model(load_model(pipeline), tmp_path)
    settings = read_settings(tmp_path)
    assert settings["use_attention_mask"] is True
    assert settings["architectures"] == ["RobertaSeriesModelWithTransformation"]
    again, info = type(theirs).from_pretrained(tmp_path, output_loading_info=True)
    assert all("pooler" in key for key in info["missing_keys"])  # which it has, and no read-out uses
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    ids, mask, _ = inputs()
    assert_close(states(again.eval(), ids, mask), states(theirs, ids, mask))


@pytest.mark.parametrize(("said", "masked"), [(None, True), (True, True), (False, False)])
def test_the_mask_is_used_unless_the_configuration_denies_it(
    said: bool | None, masked: bool, written: tuple[Any, Path], pipeline: Path, tmp_path: Path
) -> None:
    file = pipeline / "text_encoder" / "config.json"
    settings = {key: value for key, value in json.loads(file.read_text()).items() if key != "use_attention_mask"}
    file.write_text(json.dumps(settings if said is None else {**settings, "use_attention_mask": said}))
    model = load_model(pipeline)
    ids, mask, _ = inputs()
    with torch.no_grad():
        ours = model.encode_text(ids, mask, head="diffusion")
    assert_close(ours, states(written[0], ids, mask if masked else None))
    assert_round_trip(model, tmp_path / "ours")


def test_the_other_output_of_m18_is_that_of_flagai(tmp_path: Path) -> None:
    """All tokens of the last state, normalised and mapped by the `transformation` of the retrieval head."""
    theirs = text_encoder("altdiffusion-m18")
    model = load_model(oracles.saved(theirs, tmp_path))
    ids, mask, _ = inputs()
    with torch.no_grad():
        last = theirs(ids, attention_mask=mask, return_dict=True).last_hidden_state
        assert_close(model.encode_text(ids, mask, "tokens"), theirs.transformation(theirs.pre_LN(last)))


def test_an_altclip_conditions_altdiffusion_too(tmp_path: Path) -> None:
    """Its read-out without the norm, as FlagAI and diffusers have it and transformers has not."""
    altclip, theirs = oracles.altclip(), text_encoder("altdiffusion")
    state = {key.replace("encoder.layers.", "encoder.layer."): t for key, t in altclip.text_model.state_dict().items()}
    missing, _ = theirs.load_state_dict(state, strict=False)
    assert all("pooler" in key for key in missing)
    model = load_model(oracles.saved(altclip, tmp_path))
    ids, mask, _ = inputs()
    with torch.no_grad():
        ours = model.encode_text(ids, mask, heads_of("altdiffusion")["diffusion"])
    assert_close(ours, states(theirs, ids, mask))


def test_prompts_are_padded_to_77_as_transformers_does(written: tuple[Any, Path]) -> None:
    import transformers

    folder = written[1] / "tokenizer"
    reference = transformers.XLMRobertaTokenizer.from_pretrained(folder)
    prompts = ["la niña come una manzana", "两个孩子在海边放风筝", "the cat " * 100, ""]
    options: dict[str, Any] = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
    ours, theirs = Tokenizer.from_folder(folder)(prompts, max_length=77, **options), reference(prompts, **options)
    assert ours["input_ids"].shape == (4, 77)
    assert torch.equal(ours["input_ids"], theirs["input_ids"])
    assert torch.equal(ours["attention_mask"], theirs["attention_mask"])


def test_the_encoder_says_that_it_gives_no_embeddings(pipeline: Path) -> None:
    for folder in (pipeline, pipeline / "text_encoder"):
        with pytest.raises(LayoutError, match=r"heads: diffusion.*conditions AltDiffusion.*open the AltCLIP"):
            Encoder(folder, device="cpu")


def test_absent_sizes_are_those_of_the_released_one(family: str, pipeline: Path) -> None:
    file = pipeline / "text_encoder" / "config.json"
    settings = json.loads(file.read_text())
    del settings["project_dim"], settings["hidden_act"]
    file.write_text(json.dumps(settings))
    _, report = load_with_report(pipeline)
    width = {"altdiffusion": 768, "altdiffusion-m18": 1024}[family]
    assert report.filled == {"project_dim": width, "hidden_act": "gelu"}
    assert report.contradictions == [f"text project_dim is {width}, the tensors have 24"]


def test_a_damaged_one_is_refused(family: str, written: tuple[Any, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(written[1] / "text_encoder", tmp_path / "damaged"))
    tensors = load_file(folder / "model.safetensors")
    del tensors["transformation.bias"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"1 missing: transformation\.bias"):
        load_model(folder)


def test_of_a_repository_the_text_encoder_and_the_tokenizer_are_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ["model_index.json", "text_encoder/config.json", "text_encoder/pytorch_model.bin", "README.md"]
    others = ["unet/config.json", "unet/diffusion_pytorch_model.bin", "vae/config.json", "safety_checker/config.json"]
    tokenizer = ["tokenizer/sentencepiece.bpe.model", "tokenizer/tokenizer_config.json"]
    repository = dict.fromkeys([*names, *others, *tokenizer], b"{}")
    with serving({"BAAI/AltDiffusion-m9": repository}) as hub:
        point_to(hub.url, monkeypatch, tmp_path)
        folder = resolve("BAAI/AltDiffusion-m9")
        assert folder.name == "text_encoder"
        assert files(folder.parent) == sorted([*names, *tokenizer])


def test_a_head_of_another_use_is_held_by_no_layout(written: tuple[Any, Path], tmp_path: Path) -> None:
    model = load_model(written[1])
    heads = {"diffusion": replace(model.config.heads["diffusion"], tokens="first")}
    model.config = replace(model.config, heads=heads)
    with pytest.raises(LayoutError, match="no layout holds"):
        save_model(model, tmp_path)
