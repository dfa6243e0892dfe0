"""The code on the model cards runs as it stands but for its import lines, and gives what transformers gives.

The short programs here are ours, with the statements of the cards; where the development data is at hand, the cards'
own text is run too. The hub id becomes a folder, and `requests.get` gives a picture of this machine.
"""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

CARD = """
from PIL import Image
import requests

from altclip import {model_class}, AltCLIPProcessor

model = {model_class}.from_pretrained("{name}")
processor = AltCLIPProcessor.from_pretrained("{name}")

url = "http://example.org/picture.jpg"
image = Image.open(requests.get(url, stream=True).raw)
inputs = processor(text=["a cat", "two dogs"], images=image, return_tensors="pt", padding=True)

outputs = model(**inputs)
logits_per_image = outputs.logits_per_image
probs = logits_per_image.softmax(dim=1)
"""
CARDS = {  # file of the development data -> the import lines it has
    "000": ("from modeling_altclip import AltCLIP\n", "from processing_altclip import AltCLIPProcessor\n"),
    "001": ("from modeling_altclip import AltCLIP\n", "from processing_altclip import AltCLIPProcessor\n"),
    "002": ("from modeling_altclip import AltCLIP\n", "from processing_altclip import AltCLIPProcessor\n"),
    "003": ("from transformers import AltCLIPModel, AltCLIPProcessor\n",),
}


def run(code: str, picture: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Execute a program in which `requests` answers with the picture; returns its variables."""
    requests = types.ModuleType("requests")
    asked: list[str] = []

    def get(url: str, stream: bool) -> types.SimpleNamespace:
        asked.append(url)
        return types.SimpleNamespace(raw=picture.open("rb"))

    requests.get = get  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "requests", requests)
    variables: dict[str, Any] = {}
    exec(compile(code, "card", "exec"), variables)
    assert len(asked) == 1
    return variables


def check(variables: dict[str, Any], folder: Path) -> None:
    """The probabilities are those of transformers' model on the same inputs."""
    from transformers import AltCLIPModel

    theirs = AltCLIPModel.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = theirs(**variables["inputs"]).logits_per_image
    probabilities: Tensor = variables["probs"]
    assert probabilities.shape == (1, 2)
    assert probabilities.sum().item() == pytest.approx(1)
    assert (probabilities[0, 0] - probabilities[0, 1]).abs() > 1e-3  # the texts are told apart
    assert torch.allclose(probabilities, expected.softmax(dim=1), atol=1e-5)


@pytest.mark.parametrize("model_class", ["AltCLIP", "AltCLIPModel"])
def test_the_program_of_the_cards(
    model_class: str, model_folder: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = CARD.format(model_class=model_class, name=model_folder)
    check(run(code, picture, monkeypatch), model_folder)


@pytest.mark.shared
@pytest.mark.parametrize("number", CARDS)
def test_the_cards_themselves(
    number: str, shared: Path, model_folder: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (card,) = (shared / "cards").glob(f"{number}_*.txt")
    code = snippet(card.read_text(encoding="utf-8"))
    for line in CARDS[number]:
        assert line in code
        names = line.partition(" import ")[2]
        code = code.replace(line, f"from altclip import {names}")
    code, changed = re.subn(r'"BAAI/AltCLIP(-m9)?"', repr(str(model_folder)), code)
    assert changed == 2
    check(run(code, picture, monkeypatch), model_folder)


def snippet(text: str) -> str:
    """From the first import to the probabilities; prompts of an interactive session are taken off."""
    found = re.search(r"^(>>> )?from PIL import Image\n.*?^(>>> )?probs = [^\n]*\n", text, re.MULTILINE | re.DOTALL)
    assert found
    return re.sub("^>>> ", "", found.group(0), flags=re.MULTILINE)


def test_the_configurations_of_the_documentation() -> None:
    """`from_text_vision_configs`, and models made from configurations, as transformers 4 documents them."""
    from altclip import AltCLIPConfig, AltCLIPModel, AltCLIPTextConfig, AltCLIPVisionConfig

    sizes = {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 1, "num_attention_heads": 2}
    text, vision = AltCLIPTextConfig(**sizes, vocab_size=50), AltCLIPVisionConfig(**sizes, image_size=64)
    config = AltCLIPConfig.from_text_vision_configs(text, vision)
    model = AltCLIPModel(config)
    assert model.config is config
    assert model.config.text_config.hidden_size == 32
    assert model(torch.tensor([[0, 5, 2]]), torch.zeros(1, 3, 64, 64)).logits_per_image.shape == (1, 1)
