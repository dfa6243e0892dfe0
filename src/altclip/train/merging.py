"""Two models as one: the average of a model and its fine-tuned form (WiSE-FT), or a model with an adapter merged in.

WiSE-FT (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"): weights (1 - alpha) * model + alpha * tuned
keep most of what the model could do and most of what the tuned one has learned.
"""

from __future__ import annotations

import tempfile
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import torch

from altclip.checkpoints import load_model, resolve
from altclip.errors import UsageError
from altclip.models import DualEncoder
from altclip.processing import Processor
from altclip.train.adapters import adapter_dtype, is_adapter, with_adapter
from altclip.train.saving import save_folder

_HALF: Final = 0.5  # the authors' choice where nothing is known of the shift
# What may differ between models whose weights can be averaged: first values, and what counts in training alone.
_FREE: Final = frozenset(
    {"logit_scale_init_value", "initializer_range", "initializer_factor", "hidden_dropout_prob", "attention_dropout",
     "attention_probs_dropout_prob"}
)  # fmt: skip


def merge(model: str | Path, tuned: str | Path, output: str | Path, *, alpha: float | None = None) -> Path:
    """Write the model whose weights lie `alpha` of the way from `model` to `tuned`; returns its folder.

    Args:
        model: anything that `Encoder` opens.
        tuned: a model of the same architecture, tokenizer and image settings; or the folder of an adapter of `model`.
        output: a folder that does not exist yet, or is empty.
        alpha: 0 gives `model`, 1 `tuned`, both exactly. None is 1 for an adapter and 0.5 for a model.

    The result has the wider number format of the two.

    Raises:
        UsageError: alpha is not in 0 to 1, the models do not fit together (all differences), or the output holds files.
        WeightsError: the adapter is of another model.
        CheckpointError: a model cannot be read, or the result not be written.
    """
    target = Path(output)
    _check(target, alpha)
    folder = resolve(model)
    adapter = is_adapter(tuned)
    first = load_model(folder)
    if adapter:
        second = with_adapter(load_model(folder, dtype=torch.float32), tuned)
        kept = torch.promote_types(_dtype(first), adapter_dtype(Path(tuned)))
    else:
        other = resolve(tuned)
        second = load_model(other)
        check_alike(first, second, str(model), str(tuned))
        _check_processors(folder, other)
        kept = torch.promote_types(_dtype(first), _dtype(second))
    share = alpha if alpha is not None else 1.0 if adapter else _HALF
    facts = {"altclip_merge": {"model": str(model), "tuned": str(tuned), "alpha": share}}
    origin = (str(model), folder)
    whole = averaged(first, second, share).to(kept)
    return save_folder(whole, Processor.from_folder(folder), target, origin=origin, extra=facts)


def averaged(first: DualEncoder, second: DualEncoder, alpha: float) -> DualEncoder:
    """(1 - alpha) * first + alpha * second, weight by weight in float32; the ends are exactly the two. Both stay."""
    others = second.state_dict()
    weights = {
        name: weight.float() * (1 - alpha) + others[name].float() * alpha if 0 < alpha < 1
        else (weight if alpha == 0 else others[name]).float()
        for name, weight in first.state_dict().items()
    }  # fmt: skip
    with torch.device("meta"):
        made = DualEncoder(first.config)
    made.load_state_dict(weights, assign=True)
    return made.eval()


def check_alike(first: DualEncoder, second: DualEncoder, one: str, other: str) -> None:
    """Raise UsageError naming every size or choice in which two models differ."""
    found = differences(first.config, second.config, "")
    if found:
        listed = "".join(f"\n  - {line}" for line in found)
        raise UsageError(
            f"{one} and {other} are of unequal architecture, so that no weight of one belongs to a weight of the "
            f"other:{listed}\n  give a model and what was fine-tuned from it"
        )


def differences(one: Any, other: Any, place: str) -> list[str]:
    """Where two configurations differ, one line each."""
    if is_dataclass(one) and is_dataclass(other):
        names = [field.name for field in fields(one) if field.name not in _FREE]
        return [
            line for name in names
            for line in differences(getattr(one, name), getattr(other, name), f"{place}.{name}".strip("."))
        ]  # fmt: skip
    return [] if one == other else [f"{place} is {one!r} in the first, {other!r} in the second"]


def _check(target: Path, alpha: float | None) -> None:
    if alpha is not None and not 0 <= alpha <= 1:
        raise UsageError(f"alpha is {alpha}: expected 0 (the model) to 1 (the tuned one)")
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UsageError(f"{target} holds files already: give a folder that does not exist yet")


def _check_processors(one: Path, other: Path) -> None:
    """Weights of equal shape that read other tokens or other pixels are of no use to each other."""
    first, second = Processor.from_folder(one), Processor.from_folder(other)
    if _written(first) != _written(second):
        raise UsageError(f"{one} and {other} have different tokenizers: give a model and what was fine-tuned from it")
    if first.image_processor.to_dict() != second.image_processor.to_dict():
        raise UsageError(f"{one} and {other} have different image settings (preprocessor_config.json)")


def _written(processor: Processor) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        processor.tokenizer.save(folder)
        return (Path(folder) / "tokenizer.json").read_bytes()


def _dtype(model: DualEncoder) -> torch.dtype:
    return next(model.parameters()).dtype
