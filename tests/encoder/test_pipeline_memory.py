"""Too little memory for a batch: it is halved, said once, and no later one is larger; for one item it is an error."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from altclip.encoder import Encoder
from altclip.encoder.memory import MemoryNotice, Room, is_out_of_memory
from altclip.engines import Features, Ids, Pixels
from altclip.errors import InputError, WeightsError

TEXTS = [f"text number {number} of many" for number in range(10, 33)]

# As the libraries word them: torch and onnxruntime under a limit of memory, the others as their users report it.
TOO_LITTLE: list[Exception] = [
    MemoryError(),
    MemoryError("Unable to allocate 26.8 GiB for an array with shape (20000, 20000, 9) and data type float64"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 34359738368 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to"),
    RuntimeError("MPS backend out of memory (MPS allocated: 1.00 GB)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError(
        "Exception from src/inference/src/cpp/infer_request.cpp:224:\nCheck 'ptr' failed at src/plugins/intel_cpu/src/"
        "cpu_memory.cpp:257:\nFailed to allocate 14495514624 bytes of memory"
    ),
    RuntimeError("bad allocation"),
    Exception("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code: std::bad_alloc"),
    Exception(
        "[ONNXRuntimeError] : 1 : FAIL : /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:360 void* "
        "onnxruntime::BFCArena::AllocateRawInternal(size_t) Failed to allocate memory for requested buffer of size 64"
    ),
]
OTHERS = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
    ValueError("the memory of an elephant"),
    WeightsError("out of memory"),
]


class Small:
    """An engine with memory for so many rows, or numbers, of a batch; it notes what it is asked for."""

    def __init__(self, engine: Any, rows: int = 10**9, *, numbers: int = 10**9, error: Exception | None = None) -> None:
        self.engine, self.rows, self.numbers = engine, rows, numbers
        self.error = error or RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        self.name, self.device, self.dtype = engine.name, engine.device, engine.dtype
        self.asked: list[tuple[int, ...]] = []

    def encode_image(self, pixels: Pixels) -> Features:
        self._check(pixels)
        return self.engine.encode_image(pixels)

    def encode_text(self, ids: Ids, mask: Ids) -> Features:
        self._check(ids)
        return self.engine.encode_text(ids, mask)

    def _check(self, array: Any) -> None:
        self.asked.append(array.shape)
        if len(array) > self.rows or array.size > self.numbers:
            raise type(self.error)(*self.error.args)  # a new one: an error keeps what its frames hold

    @property
    def sizes(self) -> list[int]:
        return [shape[0] for shape in self.asked]


@pytest.fixture
def small(tiny_folder: Path) -> Callable[..., tuple[Encoder, Small]]:
    """An encoder of its own, with an engine that has memory for so many rows."""

    def make(rows: int = 10**9, **options: Any) -> tuple[Encoder, Small]:
        encoder = Encoder(tiny_folder, device="cpu")
        engine = Small(encoder.engine, rows, **options)
        encoder.engine = engine
        return encoder, engine

    return make


@pytest.mark.parametrize("error", TOO_LITTLE, ids=lambda error: f"{type(error).__name__}-{str(error)[:20]}")
def test_errors_that_mean_too_little_memory(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_other_errors_do_not(error: Exception) -> None:
    assert not is_out_of_memory(error)


@pytest.mark.parametrize("error", TOO_LITTLE, ids=lambda error: f"{type(error).__name__}-{str(error)[:20]}")
def test_an_engine_that_raises_any_of_them_gets_less(small: Any, photos: list[Path], error: Exception) -> None:
    encoder, engine = small(4, error=error)
    with pytest.warns(MemoryNotice):
        assert len(encoder.encode_images(photos, batch_size=8)) == len(photos)
    assert max(engine.sizes[1:]) <= 4


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_embeddings_are_the_same_and_in_order(small: Any, encoder: Encoder, photos: list[Path], rows: int) -> None:
    images, texts = encoder.encode_images(photos), encoder.encode_texts(TEXTS)
    cramped, _ = small(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MemoryNotice)
        np.testing.assert_allclose(cramped.encode_images(photos, batch_size=11), images, atol=1e-6)
        np.testing.assert_allclose(cramped.encode_texts(TEXTS, batch_size=100), texts, atol=1e-6)


def test_it_is_said_once_and_later_batches_begin_smaller(small: Any, photos: list[Path]) -> None:
    encoder, engine = small(3)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        encoder.encode_images(photos, batch_size=11)
        encoder.encode_texts(TEXTS, batch_size=20)
    assert [one.category for one in said] == [MemoryNotice]
    assert "cpu has too little memory for 11 images at once" in str(said[0].message)
    assert "batch_size=6" in str(said[0].message)
    assert engine.sizes[:4] == [11, 6, 3, 3]  # 11, 6 are too many: so the half of 11 is halved, and 5 is too
    engine.asked.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error", MemoryNotice)
        encoder.encode_images(photos, batch_size=11)
        assert max(engine.sizes) == 3
    other, _ = small(3)
    with pytest.warns(MemoryNotice):  # of another encoder it is news
        other.encode_images(photos, batch_size=11)


def test_long_texts_do_not_make_the_batches_of_short_ones_small(small: Any) -> None:
    encoder, engine = small(numbers=100)
    texts = [f"{'a long text ' * 9}{number}" for number in range(8)] + [str(number) for number in range(10, 40)]
    with pytest.warns(MemoryNotice, match="8 texts at once"):
        assert len(encoder.encode_texts(texts, batch_size=8)) == 38
    fitted = {shape for shape in engine.asked if np.prod(shape) <= 100}
    assert {shape[0] for shape in fitted if shape[1] == 24} == {4}
    assert max(shape[0] for shape in fitted if shape[1] < 10) == 8


@pytest.mark.parametrize("side", ["image", "text"])
def test_too_little_for_one_is_an_error_that_says_what_to_do(small: Any, photos: list[Path], side: str) -> None:
    encoder, _ = small(0)
    wanted = r"one image of 32x32 pixels \(batch \(1, 3, 32, 32\)" if side == "image" else r"one text of \d+ tokens"
    with (
        pytest.warns(MemoryNotice),
        pytest.raises(InputError, match=rf"too little memory for {wanted}.*torch.*float32.*can't allocate.*device="),
    ):
        encoder.encode_images(photos[:4]) if side == "image" else encoder.encode_texts(TEXTS)


def test_it_is_no_fault_of_an_image(small: Any, photos: list[Path]) -> None:
    encoder, _ = small(0)
    bad: dict[int, InputError] = {}
    with pytest.warns(MemoryNotice), pytest.raises(InputError, match="too little memory"):
        encoder.encode_images(photos, on_error=bad.__setitem__)
    assert bad == {}


def test_other_errors_of_engines_pass_through(small: Any, photos: list[Path]) -> None:
    encoder, engine = small(3, error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        encoder.encode_images(photos, batch_size=11)
    assert engine.sizes == [11]


def test_what_the_engine_had_in_memory_is_gone_before_it_tries_again(encoder: Encoder) -> None:
    held: list[weakref.ref[Any]] = []
    alive: list[bool] = []

    class Holding(Small):
        def encode_image(self, pixels: Pixels) -> Features:
            alive.append(any(one() is not None for one in held))
            states = np.zeros(7)
            held.append(weakref.ref(states))
            return super().encode_image(pixels)

    with pytest.warns(MemoryNotice):
        Room().encode(Holding(encoder.engine, 2), "image", [np.zeros((8, 3, 32, 32), np.float32)])
    assert alive == [False] * len(alive)
    assert len(alive) > 3


def test_a_generator_is_not_read_twice(small: Any, photos: list[Path]) -> None:
    encoder, _ = small(1)
    taken: list[Path] = []

    def images() -> Iterator[Path]:
        for photo in photos:
            taken.append(photo)
            yield photo

    with pytest.warns(MemoryNotice):
        assert len(encoder.encode_images(images(), batch_size=5)) == len(photos)
    assert taken == photos
