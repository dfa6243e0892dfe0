"""Which engine `auto` takes, and what it says of it."""

from __future__ import annotations

import pytest
import torch

from altclip.engines import check_choices, choose, openvino, pick
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


def test_one_asked_for_by_name_is_taken() -> None:
    assert pick("openvino", CPU, torch.float32, 10) == ("openvino", "openvino: asked for by name")
    assert pick("torch", CPU, torch.float32, LARGE) == ("torch", "torch: asked for by name")


def test_an_engine_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"altclip\[openvino\]"):
        check_choices("openvino", "fast")


def test_a_model_in_another_format_is_refused() -> None:
    pytest.importorskip("openvino")
    with pytest.raises(UsageError, match="takes a float32 model on the CPU, not torch.bfloat16 on cpu"):
        choose("openvino", tiny_model().bfloat16())
    with pytest.raises(UsageError, match="expected one of auto, torch, openvino"):
        check_choices("tensorflow", "fast")
