"""Taiyi with its image tower, as `altclip train taiyi` leaves it: BERT read through its pooler, and CLIP's ViT.

The released folders hold the text encoder alone. This one has the names that transformers gives to a BERT and a CLIP
image tower inside a dual model; the layout is ours, and no other program reads it.
"""

from __future__ import annotations

from typing import Final

from altclip.checkpoints.layouts import tables
from altclip.checkpoints.layouts.clip import VISION
from altclip.checkpoints.layouts.dual import dual
from altclip.checkpoints.layouts.text_towers import BERT

TAIYI: Final = dual(
    "Taiyi with its image tower",
    vision=VISION,
    text=BERT,
    family="taiyi-pooler",
    projection_dim=768,
    model_type="altclip-taiyi",
    architecture=None,
    rows=(*tables.bert("text_model."), ("text.pooler", "text_model.pooler.dense")),
    starts=("text_model.embeddings.word_embeddings", "text_model.pooler.", "vision_model."),
    lacks=("text_projection",),
)
