"""What the three model classes have in common: opening, saving, where they are and in what format."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import torch
from torch import Tensor, nn

from altclip.checkpoints import open_checkpoint, resolve
from altclip.checkpoints.card import card_of
from altclip.checkpoints.layouts import Layout
from altclip.checkpoints.load import fill
from altclip.checkpoints.notice import show_duties
from altclip.checkpoints.opening import Checkpoint, without_memory
from altclip.checkpoints.reading import Reader
from altclip.checkpoints.save import save_module
from altclip.device import pick_device, pick_dtype
from altclip.errors import LayoutError
from altclip.hf.config import OUTPUTS, Config
from altclip.hf.options import sort_options
from altclip.models import ModelOutput

_CPU: Final = torch.device("cpu")


class PretrainedModel(nn.Module):
    """Base of AltCLIPModel and its towers."""

    config_class: ClassVar[type[Config]]
    layout: ClassVar[Layout]  # in which it is saved
    config: Any
    left_aside: tuple[str, ...] = ()  # tensors of the folder that belong to the model, and to no part of this class

    @classmethod
    def from_pretrained(
        cls,
        path_or_id: str | Path,
        *,
        config: Config | None = None,
        dtype: str | torch.dtype | None = None,
        torch_dtype: str | torch.dtype | None = None,
        device_map: str | torch.device = "cpu",
        **options: Any,
    ) -> Self:
        """Open a folder, preset or hub id, in eval mode.

        Args:
            path_or_id: see `altclip.checkpoints.resolve`, whose options are taken too (revision, token, ...).
            config: instead of the one in the folder.
            dtype: format of the weights; `torch_dtype` is the same. None means float32, "auto" that of the files.
            device_map: a single device; "auto" takes the best there is.
            options: also values to change in the configuration.

        Raises:
            LayoutError, WeightsError, UnsafeFileError, HubError: see `altclip.checkpoints.load_model`.
            UsageError: an option that does not exist.
        """
        hub, changes = sort_options(options, {*cls.config_class.defaults, *OUTPUTS})
        checkpoint = open_checkpoint(resolve(path_or_id, **hub))
        try:
            config = cls.config_class.from_dict(_filled(checkpoint), **changes) if config is None else config
        except LayoutError as error:
            raise LayoutError(f"{checkpoint.folder}: {error}") from error
        with Reader(checkpoint, _format(torch_dtype or dtype), pick_device(device_map)) as reader:
            with without_memory():
                model = cls(config)
            layout, report = checkpoint.layout, fill(model.named(), reader)
        model.left_aside = tuple(key for key in report.ignored if not layout.is_ignored(layout.canonical(key)))
        show_duties(str(path_or_id), card_of(str(path_or_id), checkpoint.folder, checkpoint.settings))
        return model.eval()

    def save_pretrained(self, folder: str | Path, *, max_shard_size: int = 5 * 10**9) -> None:
        """Write config.json and safetensors that transformers opens with equal outputs. max_shard_size: in bytes."""
        settings = {**self.config.to_dict(), "architectures": [type(self).__name__]}
        save_module(self.named(), self.layout, settings, folder, max_shard_size=max_shard_size)

    def named(self) -> nn.Module:
        """The module whose parameters have the names that layouts know."""
        return self

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def asked(self, **outputs: bool | None) -> tuple[bool, ...]:
        """What to return: the argument of the call, or where that is None the configuration."""
        return tuple(getattr(self.config, n, OUTPUTS[n]) if v is None else v for n, v in outputs.items())


def _filled(checkpoint: Checkpoint) -> dict[str, Any]:
    """config.json with the values of the family where it leaves them out: AltCLIP-m18's are not AltCLIP's."""
    settings = deepcopy(dict(checkpoint.settings))
    for key, value in checkpoint.layout.absent(settings).items():
        place = settings
        *path, name = key.split(".")
        for step in path:
            place[step] = place = dict(place.get(step) or {})
        place[name] = value
    return settings


def packed(output: ModelOutput, return_dict: bool) -> ModelOutput | tuple[Any, ...]:
    """The output itself, or with `return_dict=False` as nested tuples."""
    if return_dict:
        return output
    return tuple(packed(v, False) if isinstance(v, ModelOutput) else v for v in output.to_tuple())


def on_request(tensors: list[Tensor], asked: bool) -> tuple[Tensor, ...] | None:
    """The hidden states or attentions, if they were asked for."""
    return tuple(tensors) if asked else None


def _format(name: str | torch.dtype | None) -> torch.dtype | None:
    if name == "auto":
        return None
    return torch.float32 if name is None else pick_dtype(name, _CPU)
