"""Reading `.bin` and `.pt` files without running what they may carry: torch's restricted unpickler, or not at all."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from altclip.errors import UnsafeFileError, WeightsError

_ZIP: Final = b"PK\x03\x04"


def load_pickle(file: Path) -> dict[str, Tensor]:
    """The tensors of a file that `torch.save` wrote, memory-mapped where its format allows (all since torch 1.6).

    Raises:
        UnsafeFileError: the file would have to run code to be read (a pickled class, a TorchScript archive).
        WeightsError: the file is damaged, or holds something other than named tensors.
    """
    with file.open("rb") as opened:
        start = opened.read(4)
    if start == _ZIP and _is_torchscript(file):
        raise UnsafeFileError(
            f"{file} is a TorchScript archive, which carries code, and is refused. OpenAI's CLIP is to be had without "
            "code as openai/clip-vit-large-patch14 and openai/clip-vit-base-patch32 on the Hugging Face hub"
        )
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=start == _ZIP)
    except pickle.UnpicklingError as error:
        if start != _ZIP and not start.startswith(b"\x80"):
            raise _damaged(file, "it does not begin like one that torch writes") from error
        raise UnsafeFileError(_refusal(file, str(error))) from error
    except Exception as error:  # what the unpickler stumbles over in damaged data may be of any kind
        raise _damaged(file, str(error).partition("\n")[0] or type(error).__name__) from error
    return _named_tensors(file, content)


def _named_tensors(file: Path, content: Any) -> dict[str, Tensor]:
    """The tensors; those of `state_dict` where training state lies beside it (open_clip, Chinese-CLIP)."""
    if not isinstance(content, dict):
        raise WeightsError(f"{file} holds a {type(content).__name__}: expected tensors by name (a state dict)")
    inner = content.get("state_dict")
    tensors: dict[Any, Any] = inner if isinstance(inner, dict) else content
    others = [f"{key}: {type(value).__name__}" for key, value in tensors.items() if not isinstance(value, Tensor)]
    if others:
        raise WeightsError(
            f"{file} holds things other than tensors ({', '.join(others[:5])}): expected a state dict; "
            "if it is one entry of these, save that alone"
        )
    return tensors


def _damaged(file: Path, reason: str) -> WeightsError:
    return WeightsError(f"{file} ({file.stat().st_size:,} bytes) cannot be read: {reason}; fetch it again")


def _refusal(file: Path, message: str) -> str:
    found = re.search(r"GLOBAL (\S+)", message)
    named = f" (it names {found.group(1)})" if found else ""
    return (
        f"{file} carries code{named} and is refused, as reading it would run that code: take the repository's "
        ".safetensors file, or ask its author for one"
    )


def _is_torchscript(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):  # torch says better what is wrong with it
        return False
