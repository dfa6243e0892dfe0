"""The folder of a pipeline, looked at before anything large is read: whether it is one, of AltDiffusion, and whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Unpack

from altclip.checkpoints import HubOptions, resolve
from altclip.checkpoints.hub import DRAWS, bundled_folder, fetch_files
from altclip.checkpoints.weights import SAFETENSORS, read_json
from altclip.errors import LayoutError

INDEX: Final = "model_index.json"
OWN_GUIDANCE: Final = "altclip_guidance"  # a key of the index, and an attribute of the pipeline
PARTS: Final = {
    "text_encoder": "what the words become", "tokenizer": "how they are cut", "unet": "what draws",
    "vae": "what makes pixels of it", "scheduler": "the steps",
}  # fmt: skip
OPTIONAL: Final = ("safety_checker", "feature_extractor")
_PLAIN: Final = ("StableDiffusionPipeline", "StableDiffusionImg2Img", "StableDiffusionInpaint")
_TEXT_ENCODERS: Final = ("RobertaSeriesModelWithTransformation", "AltDiffusionTextEncoder", "XLMRoberta", "AltCLIP")


# Of these names the first of a kind that a part has is fetched; exact, for repositories also hold `non_ema` and others.
_WEIGHTS: Final = (
    ("diffusion_pytorch_model.safetensors", "model.safetensors"),
    ("diffusion_pytorch_model.bin", "pytorch_model.bin"),
)


class BundledWords(NamedTuple):
    """name: as `Encoder` takes it; tokens: of a prompt; sha256: of the weights that the pipeline was trained with."""

    name: str
    tokens: int
    sha256: str

    def folder(self) -> Path:
        """Where the model is. Raises LayoutError where it has changed since."""
        found = resolve(self.name)
        if weights_digest(found) != self.sha256:
            raise LayoutError(
                f"the pipeline draws from the tokens of other weights than the {self.name} of this altclip: train it "
                "anew (altclip train mini-diffusion), or take the altclip that it came with"
            )
        return found


def weights_digest(folder: Path) -> str:
    """SHA-256 of a model's file of weights."""
    with (folder / SAFETENSORS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class PipelineFolder:
    """root: with `model_index.json`, on this machine; index: its content."""

    root: Path
    index: Mapping[str, Any]

    @property
    def words(self) -> BundledWords | None:
        """The bundled model whose text tower and tokenizer this one draws from; None where it has its own."""
        library, name = (self.index.get("text_encoder") or [None, None])[:2]
        if library != "altclip":
            return None
        return BundledWords(str(name), int(self.index.get("text_tokens") or 0), str(self.index.get("text_sha256")))

    @property
    def missing_checker(self) -> bool:
        """Whether there is no safety checker, or it is named and its files, or its settings, are not there."""
        named = [(self.index.get(name) or [None])[0] is not None for name in OPTIONAL]
        return not all(named) or not all((self.root / name).is_dir() for name in OPTIONAL)


def find_pipeline(
    path_or_id: str | Path, *, checker: bool = True, variant: str | None = None, **hub: Unpack[HubOptions]
) -> PipelineFolder:
    """The pipeline of a folder or hub id; of a hub id nothing large is fetched before it is known what it is.

    checker: fetch the safety checker too. variant: such as `fp16`, of the weights, where a repository has several.

    Raises:
        LayoutError: it is no pipeline, a plain Stable Diffusion, or a part is missing.
        CheckpointError, HubError: see `resolve`.
    """
    place = Path(path_or_id).expanduser()
    if str(path_or_id) == DRAWS and not place.is_dir():
        place = bundled_folder(DRAWS)
    local = bool(str(path_or_id)) and place.is_dir()
    root = place if local else _above(resolve(path_or_id, weights=False, **hub))
    if not (root / INDEX).is_file():
        raise LayoutError(_no_pipeline(root, path_or_id))
    found = PipelineFolder(root, read_json(root / INDEX))
    _check_kind(found, path_or_id)
    if not local:
        _fetch_parts(str(path_or_id), checker, variant, **hub)
    _check_parts(found)
    return found


def _above(folder: Path) -> Path:
    return folder.parent if folder.name == "text_encoder" else folder


def _fetch_parts(repository: str, checker: bool, variant: str | None, **hub: Unpack[HubOptions]) -> None:
    """All that diffusers reads: settings, then for each part that has weights those of the best kind there is."""
    parts = ["unet", "vae", *(["safety_checker"] if checker else [])]
    others = ["scheduler", *(["feature_extractor"] if checker else [])]
    fetch_files(repository, [f"{part}/*.json" for part in [*parts, *others]], **hub)
    kinds = [(names, kind) for kind in dict.fromkeys([variant, None]) for names in _WEIGHTS]
    for part in parts:
        for names, kind in kinds:
            patterns = [f"{part}/{spelling}" for name in names for spelling in _spellings(name, kind)]
            root = fetch_files(repository, [INDEX, *patterns], **hub)  # the hub warns where nothing fits
            if any(any(root.glob(pattern)) for pattern in patterns):
                break


def _spellings(name: str, variant: str | None) -> list[str]:
    """A file of weights, whole and in shards: `model.fp16.safetensors`, `model.fp16-00001-of-00002.safetensors`."""
    stem, _, ending = name.rpartition(".")
    stem = f"{stem}.{variant}" if variant else stem
    return [f"{stem}.{ending}", f"{stem}-0*-of-0*.{ending}"]


def _no_pipeline(root: Path, name: str | Path) -> str:
    holds = ", ".join(sorted(path.name for path in root.iterdir())[:12]) or "nothing"
    if root.name in PARTS and (root.parent / INDEX).is_file():
        return f"{root} is one part of a pipeline: give the folder above it, {root.parent}"
    if (root / "config.json").is_file():
        return (
            f"{name} is a model without what draws ({holds}): expected a pipeline's folder with {INDEX}, such as "
            "BAAI/AltDiffusion-m9; AltCLIP itself is opened by altclip.Encoder"
        )
    return f"{name} is no pipeline's folder: expected {INDEX} and the folders {', '.join(PARTS)}; found {holds}"


def _check_kind(folder: PipelineFolder, name: str | Path) -> None:
    """Told by the text encoder: Stable Diffusion's pipelines are the same in all else."""
    if folder.words is not None:
        return
    of_index = folder.index.get("text_encoder") or [None, None]
    settings = folder.root / "text_encoder" / "config.json"
    config = read_json(settings) if settings.is_file() else {}
    told = [str(of_index[-1]), *map(str, config.get("architectures") or ()), str(config.get("model_type"))]
    if any(word.startswith(_TEXT_ENCODERS) for word in told) or "project_dim" in config:
        return
    kind = str(folder.index.get("_class_name"))
    if kind.startswith(_PLAIN) and any(word.lower().startswith("clip") for word in told):
        raise LayoutError(
            f"{name} is a plain Stable Diffusion ({kind} with {told[0]}), conditioned on CLIP's English text encoder: "
            "open it with diffusers.StableDiffusionPipeline; expected an AltDiffusion, such as BAAI/AltDiffusion-m9"
        )
    raise LayoutError(
        f"{name} is a {kind} with the text encoder {told[0]}: expected an AltDiffusion, whose text encoder is "
        f"{_TEXT_ENCODERS[0]}; diffusers.DiffusionPipeline opens others"
    )


def _check_parts(folder: PipelineFolder) -> None:
    own = [name for name in PARTS if folder.words is None or name not in ("text_encoder", "tokenizer")]
    missing = [name for name in own if not (folder.root / name).is_dir() or not any((folder.root / name).iterdir())]
    if missing:
        said = ", ".join(f"{name} ({PARTS[name]})" for name in missing)
        raise LayoutError(
            f"{folder.root} lacks {said}: expected the folders {', '.join(PARTS)}; fetch the rest of the repository"
        )
