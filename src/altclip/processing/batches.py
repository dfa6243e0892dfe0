"""What the tokenizer, the image processor and the processor hand to a model: named arrays that move together.

`transformers` and `diffusers` call theirs `BatchEncoding`; code written for either finds the same ways of reading here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from altclip.errors import UsageError

if TYPE_CHECKING:
    import torch

TensorKind = Literal["pt", "np"]


class BatchEncoding(dict[str, Any]):
    """A dictionary whose entries are attributes too: `batch["input_ids"]`, `batch.input_ids`, `model(**batch)`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"this batch has no '{name}', only {', '.join(self) or 'nothing'}") from None

    def to(self, device: str | torch.device | torch.dtype | None = None, dtype: torch.dtype | None = None) -> Self:
        """Moves every torch tensor and returns the batch itself; lists and numpy arrays stay.

        dtype: for images and other floats, may stand in `device`'s place; token ids keep theirs.
        """
        if hasattr(device, "is_floating_point"):  # a dtype; torch need not be imported to ask
            device, dtype = None, device
        for name, value in self.items():
            if hasattr(value, "to"):  # numpy arrays and lists have none
                self[name] = value.to(device=device, dtype=dtype if value.is_floating_point() else None)
        return self


def check_kind(kind: object) -> None:
    """Raises UsageError unless `kind` is one that `as_tensor` knows, or None."""
    if kind not in ("pt", "np", None):
        raise UsageError(f"return_tensors={kind!r} is not known: take 'pt' (torch), 'np' (numpy) or None (lists)")


def as_tensor(array: np.ndarray[Any, Any], kind: TensorKind) -> np.ndarray[Any, Any] | torch.Tensor:
    """`array` itself for "np", a torch tensor over the same memory for "pt"."""
    if kind == "np":
        return array
    import torch  # two seconds, and text or image folders are read without it

    return torch.from_numpy(array)


def stack_ids(rows: Sequence[Sequence[int]], kind: TensorKind) -> np.ndarray[Any, Any] | torch.Tensor:
    """Rows of ids as one int64 array (rows, tokens); UsageError where the rows differ in length."""
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        raise UsageError(
            f"texts of {min(lengths)} to {max(lengths)} tokens do not fit into one array: "
            "pass padding=True, or leave out return_tensors to get lists"
        )
    return as_tensor(np.array(rows, dtype=np.int64).reshape(len(rows), lengths.pop() if lengths else 0), kind)
