"""The engine `compiled`: what the model gives, by code that serves every size and is kept."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from altclip.engines import TorchEngine, compiled
from altclip.engines.compiled import CompiledEngine, check_compiler, keep_code
from altclip.engines.kept import CacheNotice
from altclip.engines.recorded import Recordings, upward
from altclip.errors import UsageError
from altclip.metrics import normalised
from altclip.models import Head
from tests.engines.given import expected, pixels, texts
from tests.export.made import config_of
from tests.tiny import tiny_config, tiny_model

CPU = torch.device("cpu")
FOLDER = "TORCHINDUCTOR_CACHE_DIR"


def there_is_a_compiler() -> bool:
    try:
        check_compiler(CPU)
    except UsageError:
        return False
    return True


needs_compiler = pytest.mark.skipif(not there_is_a_compiler(), reason="no C++ compiler here")


@pytest.fixture(scope="module", autouse=True)
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of compiled code for this module."""
    folder = tmp_path_factory.mktemp("code")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER, str(folder))
        yield folder


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("family", ["altclip", "clip", "chinese-clip", "m-clip"])
def test_texts_of_every_size_by_one_compilation(family: str) -> None:
    model = tiny_model(3, config_of(family)).train()
    engine = CompiledEngine(model, precision="exact")
    assert (engine.device, engine.dtype, engine.name) == (CPU, torch.float32, "compiled")
    assert model.training  # it stays as it is
    engine.encode_text(*texts(3, 9))
    model.eval()
    with torch.compiler.set_stance("fail_on_recompile"):
        for count, length in ((4, 9), (2, 16), (7, 7), (16, 3)):
            given = texts(count, length)
            assert normalised(engine.encode_text(*given)) == pytest.approx(expected(model, *given), abs=1e-5)
    batches = [texts(2 + number % 3, 5 + number) for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda batch: engine.encode_text(*batch), batches * 3))
    alone = [engine.encode_text(*batch) for batch in batches]
    assert all(np.array_equal(found, alone[number % 8]) for number, found in enumerate(together))


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("family", ["altclip", "clip", "chinese-clip", "m-clip"])
def test_one_text_and_images(family: str) -> None:
    model = tiny_model(3, config_of(family))
    engine = CompiledEngine(model, precision="exact")
    for length in (9, 4):
        given = texts(1, length)
        assert normalised(engine.encode_text(*given)) == pytest.approx(expected(model, *given), abs=1e-5)
    for count in (1, 3, 5):
        images = pixels(model, count)
        assert normalised(engine.encode_image(images)) == pytest.approx(expected(model, images), abs=1e-5)


@needs_compiler
@pytest.mark.slow
def test_threads_that_come_first_together() -> None:
    """Each of them would compile."""
    model = tiny_model()
    engine = CompiledEngine(model, precision="exact")
    given = [texts(2, 9), texts(3, 4), texts(1, 5), texts(4, 9)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda batch: engine.encode_text(*batch), given))
    for one, batch in zip(found, given, strict=True):
        assert normalised(one) == pytest.approx(expected(model, *batch), abs=1e-5)


@needs_compiler
@pytest.mark.slow
def test_many_engines_do_not_stand_in_each_others_way(capfd: pytest.CaptureFixture[str]) -> None:
    """torch gives up compiling a function at the ninth time, and says so."""
    for number in range(9):
        model = tiny_model(number, replace(tiny_config(), vision=None))
        given = texts(2, 6)
        found = CompiledEngine(model, precision="exact").encode_text(*given)
        assert normalised(found) == pytest.approx(expected(model, *given), abs=1e-5)
    assert "recompile_limit" not in capfd.readouterr().err


@needs_compiler
@pytest.mark.slow
def test_in_bfloat16_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "cpu_has_bfloat16", lambda: True)
    model = tiny_model()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(0.3 if weight.ndim > 1 else 1)
    engine = CompiledEngine(model)
    assert engine.dtype is torch.bfloat16
    assert CompiledEngine(model, precision="exact").dtype is torch.float32
    given = texts(4, 9)
    assert (normalised(engine.encode_text(*given)) * expected(model, *given)).sum(-1).min() > 0.999
    assert next(model.parameters()).dtype is torch.float32


SECOND = """
import numpy as np, torch
from torch._dynamo.utils import counters
from altclip.engines.compiled import CompiledEngine
from tests.engines.given import expected, texts
from tests.tiny import tiny_model
model = tiny_model()
found = CompiledEngine(model, precision="exact").encode_text(*texts(3, 9))
print("misses", counters["inductor"]["fxgraph_cache_miss"], "hits", counters["aot_autograd"]["autograd_cache_hit"])
"""


@needs_compiler
@pytest.mark.slow
def test_the_second_start_compiles_nothing(tmp_path: Path) -> None:
    """Two processes; the code lies beside the other engines' graphs."""
    environment = {name: value for name, value in os.environ.items() if name != FOLDER}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(["src", "."])}
    root = Path(__file__).parents[2]
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", SECOND], env=environment, cwd=root, capture_output=True, text=True, check=True
        )
        said.append(done.stdout.split())
    assert int(said[0][1]) > 0
    assert said[1][1] == "0"
    assert int(said[1][3]) > 0
    assert any((tmp_path / "altclip" / "inductor").iterdir())


@pytest.mark.parametrize("given", [None, "a-compiler-that-is-not-there"])
def test_without_a_compiler_it_is_refused_when_it_is_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str | None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if given is None:
        monkeypatch.delenv("CXX", raising=False)
    else:
        monkeypatch.setenv("CXX", given)
    with pytest.raises(UsageError, match=r"is not found: install g\+\+.*MSVC.*CXX.*engine='torch'"):
        CompiledEngine(tiny_model())


def test_without_pythons_headers_it_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(UsageError, match="needs Python.h.*python3-dev"):
        CompiledEngine(tiny_model())


def test_other_devices_are_refused() -> None:
    with pytest.raises(UsageError, match="for CPUs and CUDA devices, not meta"):
        CompiledEngine(tiny_model().to("meta"))


def test_code_is_kept_beside_the_other_engines_graphs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(FOLDER, "elsewhere")  # so that it is put back after the test
    keep_code()
    assert os.environ[FOLDER] == "elsewhere"  # the user's choice stands
    monkeypatch.delenv(FOLDER)
    keep_code()
    assert os.environ[FOLDER] == str(tmp_path / "altclip" / "inductor")
    assert (tmp_path / "altclip" / "inductor").is_dir()
    monkeypatch.setenv(FOLDER, str(Path(tempfile.gettempdir()) / "torchinductor_me"))  # torch's own, at its import
    keep_code()
    assert os.environ[FOLDER] == str(tmp_path / "altclip" / "inductor")


def test_where_nothing_can_be_kept_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.delenv(FOLDER)
    with pytest.warns(CacheNotice, match="cannot be kept in"):
        keep_code()
    assert FOLDER not in os.environ


@needs_compiler
@pytest.mark.parametrize("lacking", ["vision", "text"])
def test_a_model_of_one_tower_is_taken(lacking: str) -> None:
    config = replace(tiny_config(), vision=None) if lacking == "vision" else replace(tiny_config(), text=None)
    assert CompiledEngine(tiny_model(0, config)).device == CPU


class Recorder:
    """In place of CUDA graphs: runs the work on whatever has the shape that it was made for."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, work: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], Tensor]:
        self.shapes.append(tuple(inputs[0].shape))

        def run(given: Sequence[Tensor]) -> Tensor:
            assert tuple(given[0].shape) == tuple(inputs[0].shape)
            return work(*given)

        return run


@pytest.mark.parametrize("family", ["altclip", "clip", "chinese-clip", "m-clip"])
def test_recordings_are_few_and_give_what_the_model_gives(family: str) -> None:
    """Batches and texts that are filled up to the next recorded shape."""
    model, recorder = tiny_model(3, config_of(family)), Recorder()
    recordings = Recordings(TorchEngine(model), recorder)
    sizes = ((1, 4), (3, 9), (4, 16), (2, 5), (1, 8), (5, 20), (7, 24))
    for count, length in sizes * 2:
        given = texts(count, length)
        given[0][:, -1] = 1  # the end that CLIP reads; every text has one, and what fills it up is the same token
        assert normalised(recordings.encode_text(*given)) == pytest.approx(expected(model, *given), abs=1e-5)
    longest = model.config.text.max_length if model.config.text else 0
    assert recorder.shapes == [(1, 8), (4, 16), (2, 8), (8, longest)]
    for count in (1, 3, 4):
        images = pixels(model, count)
        assert normalised(recordings.encode_image(images)) == pytest.approx(expected(model, images), abs=1e-5)
    assert [shape[0] for shape in recorder.shapes[4:]] == [1, 4]


def test_large_batches_are_run_as_they_come() -> None:
    model, recorder = tiny_model(), Recorder()
    recordings = Recordings(TorchEngine(model), recorder)
    given, images = texts(300, 20), pixels(model, 300)
    assert normalised(recordings.encode_text(*given)) == pytest.approx(expected(model, *given), abs=1e-5)
    assert normalised(recordings.encode_image(images)) == pytest.approx(expected(model, images), abs=1e-5)
    assert recorder.shapes == []


def test_a_readout_that_sees_padding_is_run_as_it_comes() -> None:
    config = tiny_config()
    unmasked = Head(**{**vars(config.heads["retrieval"]), "masked": False})
    model, recorder = tiny_model(0, replace(config, heads={"retrieval": unmasked})), Recorder()
    given = texts(3, 9)
    found = Recordings(TorchEngine(model), recorder).encode_text(*given)
    assert normalised(found) == pytest.approx(expected(model, *given), abs=1e-5)
    assert recorder.shapes == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_same_on_a_gpu() -> None:
    model = tiny_model()
    wanted = [expected(model, *texts(count, 9)) for count in (1, 3, 300)], expected(model, pixels(model, 3))
    engine = CompiledEngine(model.cuda(), precision="exact")
    with ThreadPoolExecutor(2) as pool:  # as the Encoder does
        found = list(pool.map(lambda count: engine.encode_text(*texts(count, 9)), (1, 3, 300)))
        images = pool.submit(engine.encode_image, pixels(model, 3)).result()
    for one, other in zip((*found, images), (*wanted[0], wanted[1]), strict=True):
        assert normalised(one) == pytest.approx(other, abs=1e-4)


def test_the_next_power_of_two() -> None:
    assert [upward(size) for size in (1, 2, 3, 4, 5, 8, 9, 127)] == [1, 2, 4, 4, 8, 8, 16, 128]
    assert upward(3, 8) == 8
