"""Loading needs the memory of the weights and little more, whether they are mapped or converted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from altclip.checkpoints import load_model, save_model
from altclip.checkpoints.opening import without_memory
from altclip.models import DualEncoder, ModelConfig, TextConfig, VisionConfig, initialise

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="this system does not tell RSS by kind")

PEAK = """
import sys, torch
from pathlib import Path
def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
before = status("VmHWM")
if sys.argv[1] != "nothing":
    from altclip.checkpoints import load_model
    model = load_model(sys.argv[2], dtype=getattr(torch, sys.argv[1]))
print(status("VmHWM"), before)
"""


def written(folder: Path, layers: int) -> int:
    """A model of 13 M parameters a layer in each tower; returns the bytes of its weights."""
    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": layers, "num_attention_heads": 16}
    text = TextConfig.from_dict({**sizes, "vocab_size": 100})
    model = DualEncoder(ModelConfig(vision=VisionConfig.from_dict({**sizes, "image_size": 28}), text=text))
    save_model(initialise(model), folder)
    return sum(p.nbytes for p in model.parameters())


def anonymous() -> int:
    """Bytes of this process that no file backs."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def test_weights_stay_in_their_file(tmp_path: Path) -> None:
    size = written(tmp_path, layers=1)
    load_model(tmp_path)  # what is imported and allocated once
    before = anonymous()
    model = load_model(tmp_path)
    assert size > 100e6
    assert anonymous() - before < 0.05 * size
    assert sum(p.nbytes for p in model.parameters()) == size


def test_a_model_on_the_meta_device_is_made_at_once_and_draws_nothing() -> None:
    """Building it the plain way would import torch's compiler, for seconds."""
    state = torch.get_rng_state()
    code = (
        "import sys, torch\n"
        "from altclip.checkpoints.opening import without_memory\n"
        "from altclip.models import DualEncoder, ModelConfig, initialise\n"
        "with without_memory(): model = initialise(DualEncoder(ModelConfig()))\n"
        "assert all(p.is_meta for p in model.parameters())\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with without_memory():
        DualEncoder(ModelConfig())
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.nn.Linear(2, 2).weight.is_meta


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_peak_is_little_over_the_weights(dtype: str, tmp_path: Path) -> None:
    """At most 1.15 times the weights in the format asked for, over a process that has imported torch."""
    size = written(tmp_path, layers=6) * (1 if dtype == "float32" else 0.5)

    def peak(what: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", PEAK, what, str(tmp_path)], capture_output=True, text=True, check=True
        )
        return int(done.stdout.split()[0])

    assert peak(dtype) - peak("nothing") <= 1.15 * size
