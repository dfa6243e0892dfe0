"""A damaged or foreign folder is refused with its name, what was found and what to do; nothing is loaded in part."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from altclip import AltCLIPModel
from altclip.checkpoints import load_model, load_with_report, save_model
from altclip.checkpoints.finite import is_finite
from altclip.errors import AltclipError, CheckpointError, LayoutError, UnsafeFileError, WeightsError

FILE = "model.safetensors"


def spoilt(folder: Path, **tensors: Tensor | None) -> Path:
    """Change tensors of a folder (`__` stands for a dot); None takes one out."""
    kept = load_file(folder / FILE)
    for key, tensor in tensors.items():
        kept.pop(key.replace("__", "."), None)
        if tensor is not None:
            kept[key.replace("__", ".")] = tensor
    save_file(kept, folder / FILE)
    return folder


def refused(folder: Path, kind: type[AltclipError]) -> str:
    """The message with which both ways of loading refuse a folder."""
    with pytest.raises(kind) as first:
        load_model(folder)
    with pytest.raises(kind) as second:
        AltCLIPModel.from_pretrained(folder)
    assert str(first.value) == str(second.value)
    assert str(folder) in str(first.value)
    return str(first.value)


def test_a_missing_tensor(folder: Path) -> None:
    message = refused(spoilt(folder, text_projection__weight=None), WeightsError)
    assert "1 missing: text_projection.weight" in message
    assert "98 tensors fit, 0 are not needed" in message


def test_an_unexpected_tensor(folder: Path) -> None:
    message = refused(spoilt(folder, text_model__transformation_pre__weight=torch.zeros(2)), WeightsError)
    assert "1 unexpected: text_model.transformation_pre.weight" in message


def test_a_renamed_tensor_is_named_beside_its_nearest(folder: Path) -> None:
    weight = load_file(folder / FILE)["text_projection.weight"]
    message = refused(spoilt(folder, text_projection__weight=None, text_projektion__weight=weight), WeightsError)
    assert "1 missing: text_projection.weight (there is text_projektion.weight)" in message
    assert "1 unexpected: text_projektion.weight" in message


def test_a_tensor_of_another_shape(folder: Path) -> None:
    message = refused(spoilt(folder, text_projection__weight=torch.zeros(24, 16)), WeightsError)
    assert "text_projection.weight is 24x16, not 16x24" in message
    assert "of another shape than config.json says" in message


def test_a_scale_of_another_shape(folder: Path) -> None:
    assert "logit_scale is 1, not a single number" in refused(spoilt(folder, logit_scale=torch.ones(1)), WeightsError)


def test_a_layer_more_than_the_configuration_says(folder: Path) -> None:
    settings = json.loads((folder / "config.json").read_text())
    settings["text_config"]["num_hidden_layers"] -= 1
    (folder / "config.json").write_text(json.dumps(settings))
    message = refused(folder, WeightsError)
    assert "16 unexpected: text_model.roberta.encoder.layer.2." in message
    assert "and 11 more" in message


def test_the_same_tensor_in_two_spellings(folder: Path) -> None:
    key = "vision_model.encoder.layers.0.mlp.fc1.bias"
    weight = load_file(folder / FILE)[key.replace("layers", "layer")].clone()
    assert "1 unexpected: vision_model.encoder.layer" in refused(
        spoilt(folder, **{key.replace(".", "__"): weight}), WeightsError
    )


def test_all_that_is_wrong_is_said_at_once(folder: Path) -> None:
    spoilt(folder, text_projection__weight=None, stray=torch.ones(1), visual_projection__weight=torch.ones(1, 2))
    message = refused(folder, WeightsError)
    for part in ("1 missing", "1 unexpected: stray", "visual_projection.weight is 1x2, not 16x36"):
        assert part in message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers(folder: Path, value: float) -> None:
    weight = load_file(folder / FILE)["text_model.transformation.weight"].clone()
    weight[3, 5] = value
    message = refused(spoilt(folder, text_model__transformation__weight=weight), WeightsError)
    assert "1 with NaN or infinity in them: text_model.transformation.weight" in message
    assert "training went wrong" in message


FORMATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("place", [0, 2**17 - 1, 2**17, 299_999])
def test_one_value_that_is_no_number_is_found_wherever_it_is(place: int, dtype: torch.dtype) -> None:
    tensor = torch.full((3, 100_000), torch.finfo(dtype).max, dtype=dtype)
    tensor[1] *= -1
    assert is_finite(tensor)
    for value in (float("inf"), -float("inf"), float("nan"), -float("nan")):
        spoilt = tensor.clone()
        spoilt.view(-1)[place] = value
        assert not is_finite(spoilt)
        assert not spoilt.isfinite().all()


@pytest.mark.parametrize("dtype", FORMATS)
def test_finite_values_of_every_kind(dtype: torch.dtype) -> None:
    limits = torch.finfo(dtype)
    assert is_finite(torch.tensor([limits.max, limits.min, limits.tiny, -limits.tiny, 0.0, -0.0], dtype=dtype))
    assert is_finite(torch.tensor(1.0, dtype=dtype))
    assert not is_finite(torch.tensor(float("nan"), dtype=dtype))
    assert is_finite(torch.zeros(0, dtype=dtype))
    assert not is_finite(torch.full((4, 4), float("nan"), dtype=dtype).T)


def test_every_pattern_of_half_precision() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        patterns = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)
        assert [is_finite(value) for value in patterns[::7]] == patterns[::7].isfinite().tolist()


def test_integers_instead_of_weights(folder: Path) -> None:
    message = refused(spoilt(folder, text_projection__weight=torch.zeros(16, 24, dtype=torch.int8)), WeightsError)
    assert "text_projection.weight holds torch.int8: expected weights not quantised" in message


def test_a_format_that_is_not_read(folder: Path) -> None:
    weight = torch.zeros(16, 24).to(torch.float8_e4m3fn)
    message = refused(spoilt(folder, text_projection__weight=weight), WeightsError)
    assert "has tensors of F8_E4M3: expected F64, F32" in message


def test_nan_in_the_other_tower_does_not_matter_to_one_tower(folder: Path) -> None:
    from altclip import AltCLIPTextModel

    spoilt(folder, visual_projection__weight=torch.full((16, 36), float("nan")))
    opened = AltCLIPTextModel.from_pretrained(folder)
    assert all(bool(weight.isfinite().all()) for weight in opened.parameters())


def test_the_report_instead_of_the_error(folder: Path) -> None:
    weight = torch.full((24, 32), float("nan"))
    spoilt(folder, text_projection__weight=None, stray=torch.ones(1), visual_projection__weight=torch.ones(1, 2))
    spoilt(folder, text_model__transformation__weight=weight)
    torch.manual_seed(0)
    model, report = load_with_report(folder, dtype=torch.float16)
    assert not report.ok
    assert report.missing == ["text_projection.weight"]
    assert report.unexpected == ["stray"]
    assert report.misshapen == {"visual_projection.weight": ((1, 2), (16, 36))}
    assert report.not_finite == ["text_model.transformation.weight"]
    state = model.state_dict()
    assert not any(tensor.is_meta for tensor in state.values())
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert state["visual_projection.weight"].std() == pytest.approx(36**-0.5, rel=0.2)  # drawn anew
    assert state["text.linears.transformation.weight"].isnan().all()
    theirs = load_file(folder / FILE)["vision_model.pre_layrnorm.weight"]
    assert torch.equal(state["vision.pre_norm.weight"], theirs.half())


def test_a_folder_without_configuration(folder: Path) -> None:
    (folder / "config.json").unlink()
    message = refused(folder, LayoutError)
    assert "has no config.json" in message
    assert f"found {FILE}" in message


@pytest.mark.parametrize("content", ["{", "", "[1]", "null"])
def test_a_configuration_that_is_no_json_object(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    assert "config.json" in refused(folder, CheckpointError)


def test_a_configuration_with_a_value_that_makes_no_model(folder: Path) -> None:
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "text_config": {"hidden_size": "wide"}}))
    message = refused(folder, LayoutError)
    assert "config.json, read as Hugging Face AltCLIP: hidden_size is 'wide': expected an integer" in message


def test_an_activation_that_is_not_known(folder: Path) -> None:
    settings = json.loads((folder / "config.json").read_text())
    settings["vision_config"]["hidden_act"] = "swiglu"
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(LayoutError, match=r"config\.json: no activation 'swiglu': known are"):
        load_model(folder)


def test_a_folder_without_weights(folder: Path) -> None:
    (folder / FILE).rename(folder / "tf_model.h5")
    message = refused(folder, LayoutError)
    assert "expected model.safetensors or" in message
    assert "tf_model.h5" in message


def test_an_empty_folder(tmp_path: Path) -> None:
    assert "found nothing" in refused(tmp_path, LayoutError)


def test_weights_of_another_kind_of_model(folder: Path) -> None:
    save_file({"wte.weight": torch.zeros(2, 2)}, folder / FILE)
    message = refused(folder, LayoutError)
    assert "no known layout fits the 1 tensors (wte.weight" in message


@pytest.mark.parametrize("share", [0.999, 0.5, 0.01])
def test_truncated_safetensors(folder: Path, share: float) -> None:
    whole = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(whole[: int(len(whole) * share)])
    message = refused(folder, WeightsError)
    assert f"{int(len(whole) * share):,} bytes" in message
    if share > 0.1:
        assert f"its header promises {len(whole):,}" in message
    assert "fetch it again" in message


def test_safetensors_with_something_after_them(folder: Path) -> None:
    with (folder / FILE).open("ab") as file:
        file.write(b"tail")
    assert "its header promises" in refused(folder, WeightsError)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"abc", "is cut off"),
        (b"<!DOCTYPE html><html>404 Not Found</html>", "is no safetensors file or is cut off"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (struct.pack("<Q", 2) + b"[]", "damaged header"),
        (struct.pack("<Q", 9) + b'{"a": {}}', "damaged header"),
        (struct.pack("<Q", 4) + b"\xff\xfe{}", "damaged header"),
        (struct.pack("<Q", 1 << 60) + b"{}", "is cut off"),
    ],
)
def test_files_that_are_no_safetensors(folder: Path, content: bytes, message: str) -> None:
    (folder / FILE).write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        load_model(folder)


def test_a_missing_shard(folder: Path, tmp_path: Path) -> None:
    save_model(load_model(folder), tmp_path / "shards", max_shard_size=40_000)
    lost = sorted((tmp_path / "shards").glob("model-*.safetensors"))[1]
    lost.unlink()
    message = refused(tmp_path / "shards", WeightsError)
    assert lost.name in message
    assert "missing: fetch them" in message


@pytest.mark.parametrize("content", ["{}", '{"weight_map": {}}', '{"weight_map": 3}'])
def test_an_index_without_files(folder: Path, content: str) -> None:
    (folder / FILE).rename(folder / "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(content)
    assert "has no 'weight_map'" in refused(folder, WeightsError)


class Evil:
    """Unpickling this leaves a mark in the environment."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.putenv, ("ALTCLIP_TEST_PICKLE_RAN", "1")


def only_pickle(folder: Path, content: Any, *, zipped: bool = True) -> Path:
    (folder / FILE).unlink()
    torch.save(content, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    return folder


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_carries_code(folder: Path, zipped: bool) -> None:
    message = refused(only_pickle(folder, {"text_projection.weight": Evil()}, zipped=zipped), UnsafeFileError)
    assert "carries code" in message
    assert "putenv" in message
    assert ".safetensors" in message


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_plain_pickle(folder: Path) -> None:
    (folder / FILE).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Evil()}))
    assert "carries code" in refused(folder, UnsafeFileError)


def test_a_pickled_module(folder: Path) -> None:
    message = refused(only_pickle(folder, torch.nn.Linear(2, 2)), UnsafeFileError)
    assert "torch.nn.modules.linear.Linear" in message


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_archive(folder: Path) -> None:
    """As OpenAI's own files are; the message says where the same weights are to be had."""
    (folder / FILE).unlink()
    traced = torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))
    torch.jit.save(traced, str(folder / "ViT-L-14.pt"))
    message = refused(folder, UnsafeFileError)
    assert "TorchScript" in message
    assert "openai/clip-vit-large-patch14" in message


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.95, 0.5, 0.001])
def test_truncated_pickles(folder: Path, zipped: bool, share: float) -> None:
    file = only_pickle(folder, load_file(folder / FILE), zipped=zipped) / "pytorch_model.bin"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    assert f"({int(len(whole) * share):,} bytes) cannot be read" in refused(folder, WeightsError)


@pytest.mark.parametrize("content", [b"<html>404</html>", b"not a pickle", b"\x00" * 64])
def test_files_that_are_no_pickles(folder: Path, content: bytes) -> None:
    (folder / FILE).unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    assert "cannot be read" in refused(folder, WeightsError)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list: expected tensors by name"),
        ({"model": {"a": torch.ones(1)}, "epoch": 3}, r"things other than tensors \(model: dict, epoch: int\)"),
    ],
)
def test_pickles_of_something_else(folder: Path, content: Any, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        load_model(only_pickle(folder, content))
