"""AltDiffusion's pipelines: diffusers' own with our text encoder and tokenizer in them, from released folders and back.

Order of opening: find the folder and look at what kind it is, open text encoder and tokenizer, have diffusers open all
the rest (it knows no text encoder but transformers'), put the two in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import torch

from altclip.checkpoints import HubOptions
from altclip.checkpoints.card import card_of
from altclip.checkpoints.hub import DRAWS
from altclip.checkpoints.notice import say_once, show_duties
from altclip.device import pick_device, pick_dtype
from altclip.diffusion import library, patches
from altclip.diffusion.conditioning import AltDiffusionTextEncoder
from altclip.diffusion.folders import INDEX, OPTIONAL, OWN_GUIDANCE, PARTS, PipelineFolder, find_pipeline
from altclip.diffusion.patches import PatchAutoencoder
from altclip.diffusion.tokens import LENGTH, PromptTokenizer
from altclip.errors import AltclipError, CheckpointError, LayoutError, UsageError

_HUB: Final = frozenset(HubOptions.__annotations__)
_OURS: Final = ("text_encoder", "tokenizer")


class SafetyNotice(UserWarning):
    """Pictures are looked at by no safety checker. Each is shown once; a filter silences the kind."""


class _Opener:
    """Opens pipelines of one class of diffusers. The pipelines are that class; this one is never made."""

    kind: ClassVar[str]

    def __new__(cls, *_parts: Any, **_named: Any) -> Any:
        raise UsageError(f"{cls.__name__} is opened by {cls.__name__}.from_pretrained(folder or hub id)")

    @classmethod
    def from_pretrained(
        cls,
        path_or_id: str | Path,
        *,
        torch_dtype: torch.dtype | str | None = None,
        dtype: torch.dtype | str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        **options: Any,
    ) -> Any:
        """diffusers' pipeline of an AltDiffusion, of its released form, or of `save_pipeline`.

        Args:
            path_or_id: a folder, or a hub id such as `BAAI/AltDiffusion-m9`.
            torch_dtype: format of all weights, `dtype` is the same; None means float32.
            revision, token, cache_dir, local_files_only: of a hub id.
            options: what diffusers takes besides (`safety_checker=None`, `variant=`, `scheduler=`, ...); also
                `text_encoder=` and `tokenizer=` in place of the folder's.

        Raises:
            MissingExtraError: without the extra `diffusion`.
            LayoutError: no pipeline, one of plain Stable Diffusion, or a part is missing or damaged.
            CheckpointError, HubError: see `altclip.checkpoints.load_model`.
        """
        library.check_installed()
        format_ = _format(torch_dtype or dtype)
        hub: HubOptions = {
            "revision": revision, "token": token, "cache_dir": cache_dir, "local_files_only": local_files_only,
        }  # fmt: skip
        asked = options.get("safety_checker", True) is not None
        folder = find_pipeline(path_or_id, checker=asked, variant=options.get("variant"), **hub)
        given = {name: options.pop(name, None) for name in _OURS}
        encoder = given["text_encoder"] or AltDiffusionTextEncoder.from_pretrained(
            folder.words.folder() if folder.words else path_or_id, torch_dtype=format_, **hub
        )
        tokenizer = given["tokenizer"] or _tokenizer(folder)
        _check_vocabulary(tokenizer, encoder, folder)
        pipeline = _rest(cls.kind, folder, format_, options)
        pipeline.register_to_config(_name_or_path=str(path_or_id))
        setattr(pipeline, OWN_GUIDANCE, folder.index.get(OWN_GUIDANCE))  # its configuration takes no key but its own
        encoder.to(pipeline.unet.device)  # where `device_map` put the others
        pipeline.register_modules(text_encoder=encoder, tokenizer=tokenizer)
        show_duties(str(path_or_id), card_of(str(path_or_id), folder.root, folder.index))
        if pipeline.safety_checker is None and asked and str(path_or_id) != DRAWS:
            _say_unchecked(str(path_or_id))
        return pipeline


class AltDiffusionPipeline(_Opener):
    """Opens AltDiffusion as diffusers' StableDiffusionPipeline: pictures from texts."""

    kind = library.TEXT_TO_IMAGE


class AltDiffusionImg2ImgPipeline(_Opener):
    """Opens AltDiffusion as diffusers' StableDiffusionImg2ImgPipeline: pictures from texts and a picture."""

    kind = library.IMAGE_TO_IMAGE


def open_pipeline(
    path_or_id: str | Path, *, device: str | torch.device = "auto", dtype: str | torch.dtype = "auto", **options: Any
) -> Any:
    """As `AltDiffusionPipeline.from_pretrained`, on a device; `auto` as in `Encoder`: on CPUs float32."""
    where = pick_device(device)
    return AltDiffusionPipeline.from_pretrained(path_or_id, torch_dtype=pick_dtype(dtype, where), **options).to(where)


def save_pipeline(pipeline: Any, folder: str | Path) -> Path:
    """Write a pipeline in the released form, which `from_pretrained` opens; its parts are opened by diffusers as well.

    (diffusers' own `save_pretrained` writes every part but the two that are ours.)

    Raises CheckpointError if it cannot be written.
    """
    target = Path(folder)
    index = index_of(pipeline.components)
    index["requires_safety_checker"] = pipeline.config.get("requires_safety_checker", True)
    guidance = getattr(pipeline, OWN_GUIDANCE, None)
    index |= {} if guidance is None else {OWN_GUIDANCE: guidance}
    try:
        for name, part in pipeline.components.items():
            if part is not None:
                part.save_pretrained(target / name)
        _keep_unsaid(target / "scheduler", pipeline.scheduler)
        (target / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{target} cannot be written ({error}): make room or give another folder") from error
    return target


def _keep_unsaid(folder: Path, scheduler: Any) -> None:
    """Leave out again what the settings never said: diffusers writes it as if they had, and other samplers heed it."""
    file = folder / scheduler.config_name
    said = json.loads(file.read_text(encoding="utf-8"))
    unsaid = set(scheduler.config.get("_use_default_values", ()))
    kept = {key: value for key, value in said.items() if key not in unsaid}
    file.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def index_of(parts: Mapping[str, Any]) -> dict[str, Any]:
    """What a `model_index.json` says of a pipeline's parts; None for one that it has not."""
    named = {name: [None, None] if part is None else _class_of(part) for name, part in parts.items()}
    return {"_class_name": "AltDiffusionPipeline", "_diffusers_version": library.version(), **named}


def _class_of(part: Any) -> list[str]:
    """The library and the class that a `model_index.json` names."""
    if isinstance(part, AltDiffusionTextEncoder):
        return ["alt_diffusion", "RobertaSeriesModelWithTransformation"]
    if isinstance(part, PatchAutoencoder):
        return ["altclip", patches.CLASS]
    if isinstance(part, PromptTokenizer):
        return ["transformers", "XLMRobertaTokenizer"]
    path = type(part).__module__.split(".")
    return ["stable_diffusion" if "stable_diffusion" in path else path[0], type(part).__name__]


def _format(dtype: torch.dtype | str | None) -> torch.dtype:
    return torch.float32 if dtype is None else pick_dtype(dtype, torch.device("cpu"))


def _tokenizer(folder: PipelineFolder) -> PromptTokenizer:
    if folder.words is None:
        return PromptTokenizer.from_folder(folder.root / "tokenizer")
    tokenizer = PromptTokenizer.from_folder(folder.words.folder())
    tokenizer.model_max_length = min(folder.words.tokens or LENGTH, tokenizer.model_max_length)
    return tokenizer


def _check_vocabulary(tokenizer: Any, encoder: Any, folder: PipelineFolder) -> None:
    given, known = len(tokenizer), encoder.config.vocab_size
    if given > known:
        raise LayoutError(
            f"{folder.root / 'tokenizer'} has {given:,} tokens, the text encoder {known:,}: they are of different "
            "models; fetch the tokenizer that belongs to these weights"
        )


def _rest(kind: str, folder: PipelineFolder, dtype: torch.dtype, options: Mapping[str, Any]) -> Any:
    """All parts but the two of ours, in a pipeline without them."""
    given = {**dict.fromkeys(_OURS), "requires_safety_checker": False, **options}
    if folder.missing_checker:
        given = {**dict.fromkeys(OPTIONAL), **given}
    ours = (folder.index.get("vae") or [None])[-1] == patches.CLASS and "vae" not in given
    try:
        opened = library.opened(kind, folder.root, dtype, {**given, **({"vae": None} if ours else {})})
        if not ours:
            return opened
        vae = PatchAutoencoder.from_pretrained(folder.root / "vae", torch_dtype=dtype)
        return type(opened)(**{**opened.components, "vae": vae}, requires_safety_checker=False)
    except AltclipError:
        raise
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError, KeyError) as error:
        raise LayoutError(
            f"{folder.root}: diffusers cannot open {', '.join(name for name in PARTS if name not in _OURS)} "
            f"({_first_line(error)}): is the folder whole, and of a release that this diffusers knows?"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0]


def _say_unchecked(name: str) -> None:
    say_once(
        f"{name} comes without a safety checker: what it draws is looked at by nobody before you see it",
        SafetyNotice,
    )
