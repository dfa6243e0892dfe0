"""The parts of an encoder opened from folders, and refused where they do not belong together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch

from altclip.checkpoints import TOKENIZER_DIGEST, HubOptions, load_model, open_checkpoint, resolve, save_model
from altclip.checkpoints.load import fill
from altclip.checkpoints.opening import empty_model_of, settings_of, with_readout, without_memory
from altclip.checkpoints.reading import Reader
from altclip.encoder.companions import wanted_image_tower
from altclip.encoder.silent import image_settings, tokenizer_of
from altclip.errors import CheckpointError, LayoutError, UsageError
from altclip.models import DualEncoder, ModelConfig, heads_of
from altclip.processing import ImageProcessor, Processor, Tokenizer

HEAD: Final = "retrieval"
READOUTS: Final = (HEAD, "unmasked")


@dataclass(frozen=True)
class Parts:
    """A model with what prepares its images and its texts, each absent where the model lacks the tower.

    head: the read-out that texts are embedded through.
    """

    model: DualEncoder
    image_processor: ImageProcessor | None
    tokenizer: Tokenizer | None
    folder: Path | None = None
    image_folder: Path | None = None
    head: str = HEAD


def open_parts(
    model: str | Path,
    image_weights: str | Path | None,
    *,
    dtype: torch.dtype,
    device: torch.device,
    hub: HubOptions,
    head: str = HEAD,
) -> Parts:
    """The parts of a folder, preset or hub id; of two, where the image tower comes from `image_weights`.

    Raises:
        CheckpointError: of any kind; see `load_model`. LayoutError where the parts do not fit together.
        UsageError: the model has no such head.
    """
    folder = resolve(model, **hub)
    opened = _opened(folder, dtype, device, readout=image_weights is not None)
    if opened.config.text is not None:
        text_dim(opened.config)  # raises, before anything else is opened, where there is nothing to embed with
        _check_head(opened.config, head)
    image_folder, image_model = None, opened
    if image_weights is not None:
        beside: HubOptions = {**hub, "revision": None}  # a revision is of one repository
        image_folder = resolve(image_weights, **beside)
        image_model = load_model(image_folder, dtype=dtype, device=device)
        opened = joined(opened, image_model)
    parts = Parts(
        opened,
        image_settings(image_folder or folder, image_model.config) if opened.config.vision else None,
        tokenizer_of(folder, opened.config) if opened.config.text else None,
        folder,
        image_folder,
        head,
    )
    check_parts(parts)
    _check_digest(folder)
    return parts


def _opened(folder: Path, dtype: torch.dtype, device: torch.device, *, readout: bool) -> DualEncoder:
    """readout: whether a text tower that could be a text encoder is meant as one."""
    checkpoint = open_checkpoint(folder)
    checkpoint = with_readout(checkpoint) if readout else checkpoint
    with Reader(checkpoint, dtype, device) as reader:
        model = empty_model_of(checkpoint)
        fill(model, reader)
    return model.eval()


def parts_of(model: DualEncoder, processor: Processor, head: str = HEAD) -> Parts:
    """The parts of a model in memory; what the processor has beyond the model's towers is left aside."""
    parts = Parts(
        model,
        processor.image_processor if model.config.vision is not None else None,
        processor.tokenizer if model.config.text is not None else None,
        head=head,
    )
    check_parts(parts)
    if model.config.text is not None:
        _check_head(model.config, head)
    return parts


def save_parts(parts: Parts, folder: str | Path, extra: Mapping[str, Any] | None = None) -> Path:
    """Write all parts into a folder, each file whole or not at all; the small ones go last. extra: for config.json."""
    target = save_model(parts.model, folder, extra=extra)
    try:
        with TemporaryDirectory(prefix=".saving-", dir=target) as fresh:
            for part in (parts.image_processor, parts.tokenizer):
                if part is not None:
                    part.save(fresh)
            for file in Path(fresh).iterdir():
                file.replace(target / file.name)
    except OSError as error:
        raise CheckpointError(f"{target} cannot be written ({error}): make room or give another folder") from error
    return target


def joined(text: DualEncoder, image: DualEncoder) -> DualEncoder:
    """The text encoder of one model and the image tower of another, with the other's logit scale."""
    if text.config.vision is not None:
        raise UsageError("image_weights is for models without an image tower, and this model has one: leave it out")
    if image.config.vision is None:
        raise UsageError("the model that image_weights names has no image tower: give one of CLIP or AltCLIP")
    config = replace(text.config, vision=image.config.vision)
    if any(head.projection for head in config.heads.values()):
        _check_dims(text_dim(config), image.config.projection_dim)
    with without_memory():
        model = DualEncoder(replace(config, projection_dim=image.config.projection_dim))
    state = {name: tensor for name, tensor in image.state_dict().items() if not name.startswith("text.")}
    state.update({name: tensor for name, tensor in text.state_dict().items() if name.startswith("text.")})
    model.load_state_dict(state, assign=True)
    return model.eval()


def text_dim(config: ModelConfig) -> int:
    """Length of a text embedding. Raises LayoutError if the model has no head that gives one."""
    if config.text is None:
        raise UsageError("this model has no text tower")
    if HEAD not in config.heads:
        raise LayoutError(
            f"the model is a text tower without a read-out (heads: {', '.join(config.heads) or 'none'}): expected one "
            f"with a head '{HEAD}'; {_instead(config)}"
        )
    head = config.heads[HEAD]
    width = config.text.project_dim if head.linear else config.text.hidden_size
    return config.projection_dim if head.projection else width


def _instead(config: ModelConfig) -> str:
    """What to do with a text tower that gives no embeddings."""
    if "diffusion" in config.heads:
        return (
            "this one conditions AltDiffusion, with which `altclip generate` and altclip.diffusion draw; for "
            "embeddings open the AltCLIP that it comes from"
        )
    if config.text is not None and config.text.architecture == "bert":
        wanted = wanted_image_tower(replace(config, heads=heads_of("taiyi-pooler")))
        return f"if it is a text encoder of Taiyi, {wanted}; else train one from it"
    return "train one from it, or open a model of images and texts"


def check_readout(head: str) -> None:
    """Raise UsageError for a read-out that no model has, before anything is loaded for it."""
    if head not in READOUTS:
        raise UsageError(f"head '{head}' is not known: expected one of {', '.join(READOUTS)}")


def _check_head(config: ModelConfig, head: str) -> None:
    if head not in config.heads:
        raise UsageError(
            f"head '{head}' is none of this model's ({', '.join(config.heads)}): only Taiyi is also read unmasked; "
            f"leave it out for '{HEAD}'"
        )


def check_parts(parts: Parts) -> None:
    """Raise LayoutError where tokenizer, image settings and towers are not of one model."""
    config = parts.model.config
    if config.text is not None and parts.tokenizer is not None:
        _check_tokenizer(parts.tokenizer, config)
        if config.vision is not None:
            _check_dims(text_dim(config), config.projection_dim)
    if config.vision is not None and parts.image_processor is not None:
        _check_image_size(parts.image_processor, config.vision.image_size)


def _check_tokenizer(tokenizer: Tokenizer, config: ModelConfig) -> None:
    text_dim(config)
    text = config.text
    if text is None:
        return
    if tokenizer.largest_id >= text.vocab_size:
        raise LayoutError(
            f"the tokenizer has {tokenizer.largest_id + 1:,} tokens, the text tower {text.vocab_size:,}: they are of "
            "different models, or tokens were added since; fetch the tokenizer files that belong to these weights"
        )
    # XLM-R counts positions by it: with another one every text would get wrong embeddings, and nobody would notice
    pad = tokenizer.pad_token_id
    if text.architecture == "xlm-roberta" and pad is not None and pad != text.pad_token_id:
        raise LayoutError(f"the tokenizer pads with id {pad}, config.json says pad_token_id {text.pad_token_id}")


def _check_digest(folder: Path) -> None:
    """Models that altclip trains say which tokenizer.json they were trained with."""
    wanted, file = settings_of(folder).get(TOKENIZER_DIGEST), folder / "tokenizer.json"
    if wanted is None or not file.is_file():
        return
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != wanted:
        raise LayoutError(
            f"{file} is not the tokenizer that the weights were trained with: its SHA-256 is {found[:16]}..., "
            f"config.json says {str(wanted)[:16]}...; fetch the file that belongs to these weights"
        )


def _check_image_size(processor: ImageProcessor, side: int) -> None:
    given = processor.crop_size if processor.do_center_crop else processor.size
    made = given.get("height"), given.get("width")
    if made != (side, side) and made != (None, None):
        raise LayoutError(
            f"the image settings make images of {made[0]}x{made[1]} pixels, the image tower takes {side}x{side}: "
            "fetch the preprocessor_config.json that belongs to these weights"
        )


def _check_dims(text: int, image: int) -> None:
    if text != image:
        raise LayoutError(
            f"text embeddings have {text} numbers, image embeddings {image}: the two encoders are not of one space"
        )
