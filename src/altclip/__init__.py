"""altclip: multilingual image-text models of the AltCLIP family.

    from altclip import Encoder
    Encoder().classify("cat.jpg", ["一只猫", "un chien", "鳥"])

The public names are those of `__all__`. Those that need torch are looked up when first used (PEP 562), so that
`import altclip` and `altclip --help` stay quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from altclip import errors
from altclip.languages import LANGUAGES

if TYPE_CHECKING:
    from altclip.encoder import Encoder
    from altclip.hf import (
        AltCLIP,
        AltCLIPConfig,
        AltCLIPModel,
        AltCLIPProcessor,
        AltCLIPTextConfig,
        AltCLIPTextModel,
        AltCLIPVisionConfig,
        AltCLIPVisionModel,
    )
    from altclip.processing.images import open_image

__version__ = "0.1.0"

__all__ = [
    "LANGUAGES",
    "AltCLIP",
    "AltCLIPConfig",
    "AltCLIPModel",
    "AltCLIPProcessor",
    "AltCLIPTextConfig",
    "AltCLIPTextModel",
    "AltCLIPVisionConfig",
    "AltCLIPVisionModel",
    "Encoder",
    "__version__",
    "errors",
    "open_image",
]

# Where each name that is not loaded at import lives. This file stands above every layer and names what it shows;
# tests/test_layers.py leaves it out of the walk for that reason.
_HOME: Final[dict[str, str]] = {
    "Encoder": "altclip.encoder",
    "AltCLIP": "altclip.hf",
    "AltCLIPConfig": "altclip.hf",
    "AltCLIPModel": "altclip.hf",
    "AltCLIPProcessor": "altclip.hf",
    "AltCLIPTextConfig": "altclip.hf",
    "AltCLIPTextModel": "altclip.hf",
    "AltCLIPVisionConfig": "altclip.hf",
    "AltCLIPVisionModel": "altclip.hf",
    "open_image": "altclip.processing.images",
}


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'altclip' has no attribute '{name}'; its public names are {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not, besides what the module holds."""
    return sorted({*globals(), *__all__})
