"""The engine `torch`: the model as it stands, and a bfloat16 copy of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from altclip import device
from altclip.device import cpu_has_bfloat16
from altclip.engines import TorchEngine
from altclip.engines.eager import in_format, to_device
from altclip.metrics import normalised
from altclip.models import DualEncoder
from tests.engines.given import pixels, texts
from tests.export.made import config_of
from tests.tiny import tiny_model

BF16 = torch.bfloat16


def cosines(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return (normalised(found) * normalised(expected)).sum(-1)


def calm(family: str) -> DualEncoder:
    """A tiny model whose weights are as wide as those of real ones; wider ones would enlarge every rounding."""
    model = tiny_model(3, config_of(family))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "positions" not in name:
                weight.mul_(0.3)
    return model


@pytest.mark.parametrize("family", ["altclip", "clip", "chinese-clip", "m-clip"])
def test_bfloat16_is_close_to_float32(family: str) -> None:
    model = calm(family)
    exact, half = TorchEngine(model), TorchEngine(model, dtype=BF16)
    assert (exact.dtype, half.dtype, half.device.type) == (torch.float32, BF16, "cpu")
    for count in (1, 4):
        found = half.encode_image(pixels(model, count))
        assert found.dtype == np.float32
        assert cosines(found, exact.encode_image(pixels(model, count))).min() > 0.999
    for count, length in ((1, 4), (4, 9), (2, 16)):
        given = texts(count, length)
        found = half.encode_text(*given)
        assert cosines(found, exact.encode_text(*given)).min() > 0.999
        assert not np.array_equal(found, exact.encode_text(*given))


def test_the_model_stays_as_it_is() -> None:
    model = tiny_model().train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    half = TorchEngine(model, dtype=BF16)
    assert model.training
    assert not half.model.training
    assert {weight.dtype for weight in half.model.parameters()} == {BF16}
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("dtype", [None, torch.float32])
def test_without_another_format_the_model_itself_is_run(dtype: torch.dtype | None) -> None:
    model = tiny_model().train()
    engine = TorchEngine(model, dtype=dtype)
    assert engine.model is model
    assert not model.training
    given = texts(2, 7)
    before = engine.encode_text(*given)
    with torch.no_grad():
        model.get_parameter("text.norms.pre_LN.weight").mul_(-1)
    assert not np.allclose(engine.encode_text(*given), before)


def test_a_copy_may_share_the_weights() -> None:
    model = tiny_model()
    copied = in_format(model)
    assert copied is not model
    assert copied.vision.layers is not model.vision.layers
    pairs = list(zip(copied.parameters(), model.parameters(), strict=True))
    assert all(one is other for one, other in pairs)


def test_arrays_that_lie_in_any_order_are_taken() -> None:
    """Slices and transposes of what a caller holds."""
    engine = TorchEngine(tiny_model())
    given = pixels(engine.model, 4)
    assert np.array_equal(engine.encode_image(given[::2]), engine.encode_image(given[::2].copy()))
    assert to_device(given, torch.device("cpu")).data_ptr() == given.ctypes.data  # not copied


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("exact", [True, False])
def test_the_same_on_a_gpu(exact: bool) -> None:
    model = calm("altclip")
    expected = TorchEngine(model).encode_image(pixels(model, 4)), TorchEngine(model).encode_text(*texts(4, 9))
    engine = TorchEngine(model.cuda(), exact=exact)
    assert engine.device.type == "cuda"
    found = engine.encode_image(pixels(model, 4)), engine.encode_text(*texts(4, 9))
    for one, other in zip(found, expected, strict=True):
        assert cosines(one, other).min() > (0.99999 if exact else 0.999)


@pytest.mark.parametrize(
    ("features", "level", "expected"),
    [
        ({"avx512_f": True, "avx512_bf16": True, "cpu_name": "x"}, None, True),
        ({"avx512_bf16": False, "amx_bf16": True}, None, True),
        ({"avx512_f": True, "avx512_vnni": True}, None, False),
        ({"avx512_bf16": True}, "DEFAULT", True),
        ({"avx512_bf16": True}, "avx512_core_bf16", True),
        ({"avx512_bf16": True, "amx_bf16": True}, "AVX512_CORE_AMX", True),
        ({"avx512_bf16": True, "amx_bf16": True}, "avx2", False),
        ({"avx512_bf16": True}, "AVX512_CORE_VNNI", False),
        ({"avx512_bf16": False}, "AVX512_CORE_BF16", False),
        ({"architecture": "aarch64", "bf16": True}, None, False),
    ],
)
def test_whether_a_cpu_has_bfloat16(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, object], level: str | None, expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if level is not None:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", level)
    assert cpu_has_bfloat16() is expected


@pytest.mark.parametrize(("flags", "expected"), [("fpu avx512f avx512_bf16", True), ("fpu avx512f", False)])
def test_an_older_torch_cannot_tell_and_the_kernel_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str, expected: bool
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor : 0\nmodel name : A CPU with avx512_bf16 in its name\nflags\t\t: {flags}\n")
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(device, "Path", lambda _: info)
    assert cpu_has_bfloat16() is expected
    info.unlink()  # another system than Linux
    assert not cpu_has_bfloat16()
