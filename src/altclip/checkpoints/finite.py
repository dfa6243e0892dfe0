"""Whether weights hold NaN or infinity, at the speed of memory.

One look at 4-byte and longer formats, since a sum is finite only if all its terms are; where it is not (finite terms
may sum to infinity) and in 2-byte formats, bit patterns are compared: in IEEE formats and bfloat16 those of infinity
and NaN are the largest of their sign.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

_INTEGERS: Final = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def is_finite(tensor: Tensor) -> bool:
    """Whether no value of a floating-point tensor is NaN or infinite.

    numpy looks at tensors of the CPU, in few long calls: they let other Python threads run, and need none of torch's
    own threads, which wait in busy loops while other programs use the processor.
    """
    if tensor.device.type != "cpu":
        return bool(tensor.isfinite().all())
    values = tensor.detach().flatten()
    if tensor.itemsize >= 4:
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(values.numpy().sum()):
                return True
    return not len(values) or _patterns_are_finite(values)


def _patterns_are_finite(values: Tensor) -> bool:
    """The largest pattern as a signed integer tells of +inf and NaN, as an unsigned one of -inf and NaN with a sign."""
    integer = _INTEGERS[values.itemsize]
    infinity = int(torch.tensor(float("inf"), dtype=values.dtype).view(integer))
    minus_infinity = infinity + (1 << (8 * values.itemsize - 1))
    signed = values.view(integer).numpy()
    return bool(signed.max() < infinity and signed.view(f"u{values.itemsize}").max() < minus_infinity)
