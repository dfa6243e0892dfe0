"""Which engine `auto` takes, and what it says of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from altclip.engines import (
    ENGINES,
    PRECISIONS,
    check_choices,
    choose,
    choosing,
    computes_in,
    openvino,
    pick,
    pick_place,
)
from altclip.errors import MissingExtraError, UsageError
from tests.tiny import tiny_model

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
LARGE = 864_000_000


@pytest.mark.parametrize(
    ("device", "dtype", "parameters", "changing", "installed", "name", "words"),
    [
        (CPU, torch.float32, LARGE, False, True, "openvino", "made for large models on a CPU"),
        (CPU, torch.float32, LARGE, False, False, "torch", "pip install 'altclip[openvino]'"),
        (CPU, torch.float32, 8_000_000, False, True, "torch", "a model of 8 M parameters starts faster"),
        (CPU, torch.bfloat16, LARGE, False, True, "torch", "bfloat16 was asked for"),
        (CPU, torch.float32, LARGE, True, True, "torch", "its weights may still change"),
        (CUDA, torch.float32, LARGE, False, True, "torch", "openvino is for CPUs"),
    ],
)
def test_auto_says_what_it_takes_and_why(
    monkeypatch: pytest.MonkeyPatch,
    device: torch.device,
    dtype: torch.dtype,
    parameters: int,
    changing: bool,
    installed: bool,
    name: str,
    words: str,
) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: installed)
    taken, reason = pick("auto", device, dtype, parameters, changing)
    assert taken == name
    assert reason.startswith(f"{name}: ")
    assert words in reason


def test_one_asked_for_by_name_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "cpu_has_bfloat16", lambda: True)
    assert pick("openvino", CPU, torch.float32, 10) == ("openvino", "openvino: asked for by name")
    assert pick("torch", CPU, torch.float32, LARGE) == ("torch", "torch: asked for by name")


def test_an_engine_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"altclip\[openvino\]"):
        check_choices("openvino", "fast")


@pytest.mark.parametrize(("engine", "precision"), [("openvino", "fast"), ("onnx", "fast"), ("auto", "int8")])
def test_what_computes_on_cpus_alone_is_put_there(monkeypatch: pytest.MonkeyPatch, engine: str, precision: str) -> None:
    """As on a machine with a GPU, which `auto` takes otherwise."""
    monkeypatch.setattr("altclip.device.available_devices", lambda: ["cuda:0", "cpu"])
    assert pick_place("auto", "torch", "fast") == CUDA
    assert pick_place("auto", engine, precision) == CPU
    with pytest.raises(UsageError, match="computes on the CPU, not on cuda: give device 'cpu' or 'auto'"):
        pick_place("cuda", engine, precision)


@pytest.mark.parametrize(
    ("engine", "device", "dtype", "parameters", "precision", "format_"),
    [
        ("torch", CPU, torch.float32, 10, "fast", "float32"),
        ("torch", CPU, torch.float32, LARGE, "fast", "bfloat16"),
        ("openvino", CPU, torch.float32, LARGE, "fast", "bfloat16"),
        ("openvino", CPU, torch.float32, LARGE, "exact", "float32"),
        ("openvino", CPU, torch.float32, LARGE, "int8", "int8"),
        ("onnx", CPU, torch.float32, LARGE, "fast", "float32"),
        ("torch", CUDA, torch.float16, LARGE, "fast", "float16"),
    ],
)
def test_the_format_that_an_engine_computes_in(
    monkeypatch: pytest.MonkeyPatch, engine: str, device: torch.device, dtype: torch.dtype, parameters: int,
    precision: str, format_: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(choosing, "cpu_has_bfloat16", lambda: True)
    assert computes_in(engine, device, dtype, parameters, precision) == format_


def test_a_model_in_another_format_is_refused() -> None:
    pytest.importorskip("openvino")
    with pytest.raises(UsageError, match="takes a float32 model on the CPU, not torch.bfloat16 on cpu"):
        choose("openvino", tiny_model().bfloat16())
    with pytest.raises(UsageError, match="expected one of auto, torch, compiled, openvino, onnx"):
        check_choices("tensorflow", "fast")


def test_fast_computes_in_bfloat16_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of models of some size that do not change, and whose number format was not asked for."""
    monkeypatch.setattr(choosing, "cpu_has_bfloat16", lambda: True)
    model = tiny_model()

    def formats(**how: Any) -> torch.dtype:
        return choose("torch", model, **how)[0].dtype

    assert formats() == torch.float32  # a small one
    monkeypatch.setattr(choosing, "_LARGE", 0)
    assert formats() == torch.bfloat16
    assert next(model.parameters()).dtype == torch.float32
    for how in ({"precision": "exact"}, {"changing": True}, {"half": False}):
        assert formats(**how) == torch.float32
    monkeypatch.setattr(choosing, "cpu_has_bfloat16", lambda: False)
    assert formats() == torch.float32


@pytest.mark.parametrize("half", [True, False])
def test_a_cpu_without_bfloat16_is_said(monkeypatch: pytest.MonkeyPatch, half: bool) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: True)
    monkeypatch.setattr(choosing, "cpu_has_bfloat16", lambda: half)
    reasons = {precision: pick("auto", CPU, torch.float32, LARGE, precision=precision)[1] for precision in PRECISIONS}
    assert ("this CPU has no bfloat16" in reasons["fast"]) is not half
    assert "bfloat16" not in reasons["exact"]
    assert reasons["int8"] == "openvino: the one that computes in int8"
    named = {engine: pick(engine, CPU, torch.float32, LARGE)[1] for engine in ENGINES}
    said = {engine for engine, reason in named.items() if "this CPU has no bfloat16" in reason}
    assert said == (set() if half else {"torch", "compiled", "openvino"})  # onnx is never in anything but float32
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    assert ("this CPU has no bfloat16" in pick("auto", CPU, torch.float32, LARGE)[1]) is not half
    for told in (pick("torch", CUDA, torch.float32, LARGE), pick("auto", CPU, torch.bfloat16, LARGE)):
        assert "has no bfloat16" not in told[1]
    assert "bfloat16" not in pick("auto", CPU, torch.float32, LARGE, changing=True)[1]
