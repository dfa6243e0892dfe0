"""What open_clip itself computes with a tiny CLIP, kept as tests/golden/open_clip_tiny.* for our tests to equal.

open_clip wants another torchvision than altclip can have (see requirements-open-clip.txt), so this runs in an
environment of its own:

    ENV/bin/python benchmarks/golden_open_clip.py

The JSON file is an open_clip_config.json; the safetensors file holds the weights (`model.*`), what went in (`ids`,
`pixels`, `picture.*`) and what came out (`text_features`, `image_features`, `logits`, `prepared.*`). All weights are
drawn anew, norms and biases too, so that each one shows in the results.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"
END, SIDE = 119, 32
MODEL: dict[str, Any] = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": SIDE, "layers": 2, "width": 48, "head_width": 16, "patch_size": 8, "mlp_ratio": 1.5},
    "text_cfg": {"context_length": 12, "vocab_size": 120, "width": 32, "heads": 4, "layers": 2},
}
PREPROCESSING: dict[str, Any] = {
    "mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic", "resize_mode": "shortest",
}  # fmt: skip
PICTURES = ((32, 33), (32, 35), (34, 32), (61, 40), (90, 31), (23, 50))  # width, height: all parities of excess


def main() -> None:
    without_cuda()
    from open_clip.model import CLIP

    generator = torch.Generator().manual_seed(0)
    model = randomised(CLIP(**MODEL), generator).eval()
    ids_BL = texts(generator)
    pixels = torch.randn(3, 3, SIDE, SIDE, generator=generator)
    with torch.no_grad():
        image, text = model.encode_image(pixels), model.encode_text(ids_BL)
        cosines = torch.nn.functional.normalize(image) @ torch.nn.functional.normalize(text).T
        results = {
            **{f"model.{key}": tensor for key, tensor in model.state_dict().items()},
            "ids": ids_BL, "pixels": pixels, "text_features": text, "image_features": image,
            "logits": model.logit_scale.exp() * cosines, **prepared(generator),
        }  # fmt: skip
    write(results)


def without_cuda() -> None:
    """Give a torchvision of CUDA builds the two operators that it looks for, where torch is a CPU build."""
    if not torch.cuda.is_available() and not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            signature = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define(signature)  # type: ignore[no-untyped-call]
        globals()["_library"] = library  # it lives as long as this object


def randomised(model: Any, generator: torch.Generator) -> Any:
    for name, weight in model.named_parameters():
        weight.data.normal_(std=0.3, generator=generator)
        if "ln_" in name and name.endswith("weight"):
            weight.data += 1
    model.logit_scale.data.fill_(1.7)
    return model


def texts(generator: torch.Generator) -> Tensor:
    """Ids (4, 12) that end at different places and are filled up with 0, as open_clip's tokenizer does."""
    ids_BL = torch.randint(1, END, (4, 12), generator=generator)
    for row, length in enumerate((11, 5, 8, 1)):
        ids_BL[row, length], ids_BL[row, length + 1 :] = END, 0
    return ids_BL


def prepared(generator: torch.Generator) -> dict[str, Tensor]:
    """Random pictures (height, width, 3), and what the model's preprocessing makes of them."""
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from PIL import Image

    transform = image_transform_v2(PreprocessCfg(size=SIDE, **PREPROCESSING), is_train=False)
    results = {}
    for number, (width, height) in enumerate(PICTURES):
        picture = torch.randint(0, 256, (height, width, 3), generator=generator).to(torch.uint8)
        results[f"picture.{number}"] = picture
        results[f"prepared.{number}"] = transform(Image.fromarray(picture.numpy()))
    return results


def write(results: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    FOLDER.mkdir(exist_ok=True)
    versions = {name: metadata.version(name) for name in ("open_clip_torch", "torch", "torchvision", "Pillow")}
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESSING, "made_with": versions}
    (FOLDER / "open_clip_tiny.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    whole = {key: tensor.contiguous() for key, tensor in results.items()}
    save_file(whole, FOLDER / "open_clip_tiny.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
