"""Loading a model: built without memory, then given its tensors one by one, each checked.

Order: resolve the name, list the files, tell the layout, build on the meta device, compare names and shapes, read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Unpack

import torch
from torch import Tensor, nn

from altclip.checkpoints.hub import HubOptions, resolve
from altclip.checkpoints.layouts.sizes import contradictions
from altclip.checkpoints.opening import Checkpoint, empty_model_of, open_checkpoint, our_shapes
from altclip.checkpoints.reading import Reader
from altclip.checkpoints.report import LoadReport
from altclip.errors import WeightsError
from altclip.models import DualEncoder, initialise

_CONSTANT: Final = "logit_scale"  # the one parameter with an initial value that the configuration gives


def load_model(
    path_or_id: str | Path,
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    **hub: Unpack[HubOptions],
) -> DualEncoder:
    """The model of a folder, a preset or a hub repository, in eval mode, with all its weights or not at all.

    Args:
        path_or_id: see `resolve`, which takes `hub` too.
        dtype: format of the weights; None keeps that of the files (the widest, where they hold several).
        device: where the weights go. On the CPU and without conversion they stay mapped to the files.

    Raises:
        LayoutError, WeightsError, UnsafeFileError, HubError: see `open_checkpoint` and `resolve`; WeightsError also
            names tensors that are missing, unexpected, misshapen or not finite.
    """
    checkpoint = open_checkpoint(resolve(path_or_id, **hub))
    with Reader(checkpoint, dtype, device) as reader:
        model = empty_model_of(checkpoint)
        fill(model, reader)
    return model.eval()


def load_with_report(
    path_or_id: str | Path,
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    **hub: Unpack[HubOptions],
) -> tuple[DualEncoder, LoadReport]:
    """As `load_model`, but what does not fit is reported and is no error.

    Weights missing or misshapen are drawn anew from torch's global generator, unexpected ones left aside, NaN kept.
    """
    checkpoint = open_checkpoint(resolve(path_or_id, **hub))
    model = empty_model_of(checkpoint)
    with Reader(checkpoint, dtype, device) as reader:
        report = _give(model, reader, _compare(model, checkpoint))
    if report.missing or report.misshapen:
        fresh = initialise(DualEncoder(checkpoint.config)).state_dict()
        kept = {name: p for name, p in model.named_parameters() if not p.is_meta}
        absent = [name for name, p in model.named_parameters() if p.is_meta]
        drawn = {name: fresh[name].to(reader.device, reader.dtype) for name in absent}
        model.load_state_dict({**kept, **drawn}, assign=True)
    return model.eval(), report


def fill(module: nn.Module, reader: Reader) -> LoadReport:
    """Give a module on the meta device its weights: a whole DualEncoder, or a part with the same parameter names.

    Raises WeightsError unless exactly the right tensors are there and all are finite.
    """
    report = _compare(module, reader.checkpoint)
    if not report.ok:
        raise WeightsError(report.describe())
    entries = reader.checkpoint.weights.entries
    whole = [key for key in report.used if not entries[key].dtype.is_floating_point]
    if whole:
        raise WeightsError(
            f"{report.folder}: {whole[0]} holds {entries[whole[0]].dtype}: expected weights not quantised"
        )
    report = _give(module, reader, report)
    if not report.ok:
        raise WeightsError(f"{report.describe()}\n  the file is damaged, or training went wrong before it was saved")
    return report


def _compare(module: nn.Module, checkpoint: Checkpoint) -> LoadReport:
    """Match the names and shapes in the files with the module's. A module that is a part leaves the rest unused."""
    layout, entries = checkpoint.layout, checkpoint.weights.entries
    parameters = {ours: tuple(p.shape) for ours, p in module.named_parameters()}
    wanted = {theirs: (ours, parameters[ours]) for ours in parameters if (theirs := layout.theirs(ours))}
    homeless = [ours for ours in parameters if not layout.theirs(ours) and ours != _CONSTANT]
    found = {layout.canonical(key): key for key in entries}
    twice = [key for key in entries if found[layout.canonical(key)] != key]
    both = [name for name in wanted if name in found]
    shapes = {name: (entries[found[name]].shape, wanted[name][1]) for name in both}
    rest = [name for name in found if name not in wanted]
    ignored = {name for name in rest if layout.is_ignored(name)}
    if len(ignored) < len(rest):  # of another part of the same model, perhaps
        ignored.update(layout.theirs(ours) or "" for ours, _ in empty_model_of(checkpoint).named_parameters())
    return LoadReport(
        folder=checkpoint.folder,
        layout=layout.name,
        used={found[name]: wanted[name][0] for name in both if shapes[name][0] == shapes[name][1]},
        missing=[*(name for name in wanted if name not in found), *homeless],
        unexpected=[*(found[name] for name in rest if name not in ignored), *twice],
        misshapen={found[name]: shapes[name] for name in both if shapes[name][0] != shapes[name][1]},
        ignored=[found[name] for name in rest if name in ignored],
        filled=layout.absent(checkpoint.settings),
        contradictions=contradictions(checkpoint.config, our_shapes(layout, checkpoint.weights)),
    )


def _give(module: nn.Module, reader: Reader, report: LoadReport) -> LoadReport:
    """Hand the tensors to the module; the report then says which are not finite."""
    tensors = reader.take(report.used)
    named = {report.used[key]: tensor for key, tensor in tensors.items()}
    module.load_state_dict({**_initial(module, reader), **named}, strict=False, assign=True)
    return replace(report, not_finite=reader.not_finite(report.used))


def _initial(module: nn.Module, reader: Reader) -> Mapping[str, Tensor]:
    """The logit scale, where the layout has no place for it: files of one tower."""
    checkpoint = reader.checkpoint
    if _CONSTANT not in dict(module.named_parameters()) or checkpoint.layout.theirs(_CONSTANT):
        return {}
    value = checkpoint.config.logit_scale_init_value
    return {_CONSTANT: torch.tensor(value, dtype=reader.dtype, device=reader.device)}
