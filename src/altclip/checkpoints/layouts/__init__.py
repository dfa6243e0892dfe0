"""The layouts of folders that can be read and written. A new family is a row here and a file beside this one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from altclip.checkpoints.layouts.altclip import ALTCLIP, ALTCLIP_TEXT
from altclip.checkpoints.layouts.altclip_m18 import ALTCLIP_M18
from altclip.checkpoints.layouts.altdiffusion import ALTDIFFUSION, ALTDIFFUSION_M18
from altclip.checkpoints.layouts.base import Layout, Settings
from altclip.checkpoints.layouts.chinese_clip import CHINESE_CLIP, CHINESE_CLIP_ORIGINAL
from altclip.checkpoints.layouts.clip import CLIP, IMAGE_TOWER
from altclip.checkpoints.layouts.m_clip import M_CLIP, M_CLIP_DUAL
from altclip.checkpoints.layouts.open_clip import OPEN_CLIP, OPENAI
from altclip.checkpoints.layouts.taiyi import TAIYI, TAIYI_CLASSIFIER, TAIYI_TEXT
from altclip.checkpoints.layouts.text_towers import ALT_ROBERTA_TOWER, BERT_TOWER, XLM_ROBERTA_TOWER
from altclip.errors import LayoutError
from altclip.models import ModelConfig

__all__ = ["LAYOUTS", "Layout", "Settings", "layout_for", "layout_of"]

# In order: the first that fits a folder or a model is taken.
LAYOUTS: Final = (
    ALTCLIP_M18, ALTCLIP, CLIP, CHINESE_CLIP, TAIYI_CLASSIFIER, TAIYI, M_CLIP_DUAL,
    CHINESE_CLIP_ORIGINAL, OPEN_CLIP, OPENAI,
    ALTDIFFUSION_M18, ALTCLIP_TEXT, ALTDIFFUSION, M_CLIP, IMAGE_TOWER,
    TAIYI_TEXT, XLM_ROBERTA_TOWER, ALT_ROBERTA_TOWER, BERT_TOWER,
)  # fmt: skip


def layout_of(settings: Mapping[str, Any], keys: Iterable[str]) -> Layout:
    """The layout of a folder, told by the names of its tensors. Raises LayoutError that says what each one missed."""
    names = list(keys)
    tried = {}
    for layout in LAYOUTS:
        tried[layout.name] = layout.misses(settings, names)
        if not tried[layout.name]:
            return layout
    reasons = "".join(f"\n  - {name}: {'; '.join(missed)}" for name, missed in tried.items())
    some = ", ".join(sorted(names)[:3]) or "none"
    raise LayoutError(f"no known layout fits the {len(names)} tensors ({some}, ...). Tried:{reasons}")


def layout_for(config: ModelConfig) -> Layout:
    """The layout that can hold a model. Raises LayoutError if none can."""
    for layout in LAYOUTS:
        if layout.holds(config):
            return layout
    heads = ", ".join(config.heads) or "none"
    raise LayoutError(
        f"no layout holds a model with {'an' if config.vision else 'no'} image tower, "
        f"{config.text.architecture if config.text else 'no'} text tower and the heads {heads}: "
        f"known are {', '.join(layout.name for layout in LAYOUTS)}"
    )
