"""Choosing a device and a number format, on this machine and on machines that are only made up here."""

from __future__ import annotations

import pytest
import torch

from altclip.device import DTYPES, available_devices, pick_device, pick_dtype
from altclip.errors import UsageError

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


class Machine:
    """Makes torch report other hardware than this machine has."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.has()

    def has(self, cuda: int = 0, mps: bool = False) -> None:
        self.monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        self.monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        self.monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    def gpu_computes_in_bfloat16(self, yes: bool) -> None:
        class NoSwitch:
            def __init__(self, device: torch.device) -> None: ...
            def __enter__(self) -> None: ...
            def __exit__(self, *_: object) -> None: ...

        self.monkeypatch.setattr(torch.cuda, "device", NoSwitch)
        self.monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: yes or including_emulation
        )


def test_this_machine_can_compute_on_what_it_lists() -> None:
    for name in available_devices():
        assert float(torch.ones(2, device=pick_device(name)).sum()) == 2
    assert available_devices()[-1] == "cpu"


@pytest.mark.parametrize(
    ("cuda", "mps", "listed", "auto"),
    [
        (0, False, ["cpu"], "cpu"),
        (2, False, ["cuda:0", "cuda:1", "cpu"], "cuda"),
        (0, True, ["mps", "cpu"], "mps"),
        (1, True, ["cuda:0", "mps", "cpu"], "cuda"),
    ],
)
def test_auto_takes_the_best_device(machine: Machine, cuda: int, mps: bool, listed: list[str], auto: str) -> None:
    machine.has(cuda, mps)
    assert available_devices() == listed
    assert pick_device() == pick_device("auto") == torch.device(auto)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1", "mps", "cpu", "cpu:0"])
def test_a_device_that_is_there_is_taken_as_named(machine: Machine, name: str) -> None:
    machine.has(cuda=2, mps=True)
    assert pick_device(name) == torch.device(name)
    assert pick_device(torch.device(name)) == torch.device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "xpu", "meta", "gpu", "", "cuda:x", "CPU"])
def test_a_device_that_is_not_there_is_an_error_that_says_what_is(machine: Machine, name: str) -> None:
    with pytest.raises(UsageError, match=f"device '{name}' is not here.*cpu.*'auto'"):
        pick_device(name)


def test_a_gpu_number_beyond_the_last_is_an_error(machine: Machine) -> None:
    machine.has(cuda=2)
    with pytest.raises(UsageError, match="cuda:2.*cuda:0, cuda:1, cpu"):
        pick_device("cuda:2")


def test_a_device_object_that_is_not_there_is_an_error_too(machine: Machine) -> None:
    with pytest.raises(UsageError, match="mps"):
        pick_device(torch.device("mps"))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("float32", torch.float32),
        ("fp32", torch.float32),
        ("torch.float32", torch.float32),
        ("bfloat16", torch.bfloat16),
        ("bf16", torch.bfloat16),
        ("float16", torch.float16),
        ("fp16", torch.float16),
        ("float64", torch.float64),
        (torch.bfloat16, torch.bfloat16),
    ],
)
def test_a_dtype_by_name_or_itself(name: str | torch.dtype, dtype: torch.dtype) -> None:
    assert pick_dtype(name, CPU) is dtype


@pytest.mark.parametrize("name", ["int8", "float", "half", "", torch.int64, torch.float8_e4m3fn])
def test_another_dtype_is_an_error_that_lists_the_names(name: str | torch.dtype) -> None:
    with pytest.raises(UsageError, match=f"'{name}'.*float32.*bf16.*auto"):
        pick_dtype(name, CPU)


def test_auto_is_float32_where_half_precision_gains_nothing() -> None:
    assert pick_dtype("auto", CPU) is torch.float32
    assert pick_dtype("auto", torch.device("mps")) is torch.float32


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_auto_on_a_gpu_is_the_half_it_computes_in(machine: Machine, native: bool, dtype: torch.dtype) -> None:
    machine.has(cuda=1)
    machine.gpu_computes_in_bfloat16(native)  # emulated bfloat16 does not count: it is slower than float32
    assert pick_dtype("auto", torch.device("cuda")) is dtype


def test_float64_is_refused_where_it_does_not_exist() -> None:
    with pytest.raises(UsageError, match="float64.*mps.*float32"):
        pick_dtype("float64", torch.device("mps"))


def test_models_run_in_every_dtype_of_the_table() -> None:
    for dtype in set(DTYPES.values()):
        assert torch.nn.functional.linear(torch.ones(1, 2, dtype=dtype), torch.ones(3, 2, dtype=dtype)).dtype is dtype
