"""The door to peft: low-rank adapters (LoRA, Hu et al. 2021) put on a model, saved alone, loaded, merged.

A saved adapter is a folder in peft's own format, adapter_config.json and adapter_model.safetensors, that
`peft.PeftModel.from_pretrained(encoder.model, folder)` loads. Its names are those of our modules.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from altclip.errors import CheckpointError, MissingExtraError, UsageError, WeightsError
from altclip.models import DualEncoder
from altclip.train.config import LoraConfig
from altclip.train.saving import whole_folder

CONFIG_NAME: Final = "adapter_config.json"
WEIGHTS_NAME: Final = "adapter_model.safetensors"
_ROOT: Final = "base_model.model."  # what peft puts before the names of the model's own modules
_SHOWN: Final = 5


def put_adapter(model: DualEncoder, lora: LoraConfig, base: str) -> None:
    """Put an adapter on the linear maps that the pattern names and the stage trains; all other weights are then frozen.

    base: name of the model, for the adapter's configuration. Raises UsageError where no linear map is left to adapt.
    """
    linear = [n for n, m in model.named_modules() if isinstance(m, nn.Linear) and m.weight.requires_grad]
    targets = [name for name in linear if re.search(lora.target, name)]
    if not targets:
        raise UsageError(
            f"lora.target: no trained linear map matches {lora.target!r}; they are named like {', '.join(linear[:4])}"
        )
    peft = _library()
    settings = peft.LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets,
        base_model_name_or_path=base,
    )  # fmt: skip
    peft.inject_adapter_in_model(settings, model)


def save_adapter(model: DualEncoder, folder: Path) -> Path:
    """The adapter alone, as a folder that peft loads, whole or not at all. Raises CheckpointError."""
    peft = _library()
    kept: dict[str, Any] = model.peft_config  # type: ignore[assignment]  # peft puts it on the model
    settings = copy.copy(kept["default"])
    settings.inference_mode = True  # as peft leaves it when it saves: who loads it to train says so
    state = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    tensors = {f"{_ROOT}{name}": tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with whole_folder(folder) as fresh:
        save_file(tensors, fresh / WEIGHTS_NAME, metadata={"format": "pt"})
        settings.save_pretrained(str(fresh))
    return folder


def merged(model: DualEncoder) -> DualEncoder:
    """The model with its adapter added into the weights: an ordinary one, of the same outputs. Changes the model."""
    _library()
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            above, _, last = name.rpartition(".")
            setattr(model.get_submodule(above), last, module.get_base_layer())
    del model.peft_config
    return model


def is_adapter(folder: str | Path) -> bool:
    """Whether a folder holds an adapter in peft's format."""
    return (Path(folder) / CONFIG_NAME).is_file()


def with_adapter(model: DualEncoder, folder: str | Path) -> DualEncoder:
    """The model with the adapter of a folder merged into it. The model is changed.

    Raises:
        CheckpointError: a file is missing or damaged.
        UsageError: an adapter of another kind than LoRA.
        WeightsError: names or shapes that are not the model's, each with its key.
    """
    check_adapter(model, Path(folder))
    found = _library().PeftModel.from_pretrained(model, str(folder))
    whole: DualEncoder = found.merge_and_unload()
    return whole.eval()


def check_adapter(model: DualEncoder, folder: Path) -> None:
    """Refuse an adapter that is not of this model, naming every key that does not fit; see `with_adapter`."""
    kind = _settings(folder).get("peft_type")
    if kind != "LORA":
        raise UsageError(f"{folder} holds an adapter of kind {kind}: expected LORA, which can be merged")
    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    problems = [text for key, shape in _shapes(folder).items() if (text := _misfit(key, shape, linear))]
    if problems:
        more = f"\n  - and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        listed = "".join(f"\n  - {problem}" for problem in problems[:_SHOWN])
        raise WeightsError(
            f"{folder} is an adapter of another model:{listed}{more}\n"
            f"  it was made for {_settings(folder).get('base_model_name_or_path') or 'a model it does not name'}"
        )


def _misfit(key: str, shape: tuple[int, ...], linear: Mapping[str, nn.Linear]) -> str | None:
    found = re.fullmatch(re.escape(_ROOT) + r"(.+)\.lora_([AB])\.weight", key)
    if not found or found[1] not in linear:
        return f"{key}: the model has no linear map of that name"
    layer = linear[found[1]]
    side, wanted = (1, layer.in_features) if found[2] == "A" else (0, layer.out_features)
    if len(shape) == 2 and shape[side] == wanted:
        return None
    expected = f"(rank, {wanted})" if found[2] == "A" else f"({wanted}, rank)"
    return f"{key} is {shape}: expected {expected}"


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_NAME
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): expected the folder of an adapter") from error
    return settings if isinstance(settings, dict) else {}


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    path = folder / WEIGHTS_NAME
    if not path.is_file():
        found = ", ".join(sorted(file.name for file in folder.iterdir()))
        raise CheckpointError(f"{folder} has no {WEIGHTS_NAME}: found {found}; save the adapter as safetensors")
    try:
        with safe_open(path, "pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is damaged ({error}): get the file anew") from error


def adapter_dtype(folder: Path) -> torch.dtype:
    """The widest number format in the adapter's file."""
    with safe_open(folder / WEIGHTS_NAME, "pt") as file:
        kinds: list[torch.dtype] = [file.get_tensor(key).dtype for key in file.keys()]  # noqa: SIM118
    widest = kinds[0]
    for kind in kinds:
        widest = torch.promote_types(widest, kind)
    return widest


def _library() -> Any:
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("peft", "lora") from error
    return peft
