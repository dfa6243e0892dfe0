"""XLM-RoBERTa and BERT as transformers writes them: text towers to start from. Their other heads are left aside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from altclip.checkpoints.layouts import altclip, tables
from altclip.checkpoints.layouts.base import Layout, Settings
from altclip.checkpoints.layouts.sections import Section
from altclip.models import ModelConfig, TextConfig, heads_of

_SIZES: Final[Mapping[str, Any]] = {
    "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512, "type_vocab_size": 2, "initializer_range": 0.02, "layer_norm_eps": 1e-12,
}  # fmt: skip
XLM_R: Final = Section(
    TextConfig,
    "xlm-roberta",
    {**_SIZES, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    fixed={"architecture": "xlm-roberta"},
)
BERT: Final = Section(TextConfig, "bert", {**_SIZES, "pad_token_id": 0}, fixed={"architecture": "bert"})

# Poolers and the heads of masked-language and next-sentence training: no family here starts from them.
_HEADS: Final = (*tables.BUFFERS, r"^pooler\.", r"^lm_head\.", r"^cls\.", r"^classifier\.")
_OLD_NORMS: Final = ((r"\.LayerNorm\.gamma$", ".LayerNorm.weight"), (r"\.LayerNorm\.beta$", ".LayerNorm.bias"))


def _tower(name: str, section: Section[TextConfig], prefix: str, class_name: str) -> Layout:
    def write(config: ModelConfig) -> Settings:
        values = {} if config.text is None else section.write(config.text)
        return {**values, "architectures": [class_name]}

    def holds(config: ModelConfig) -> bool:
        architecture = None if config.text is None else config.text.architecture
        return architecture == section.fixed["architecture"] and config.vision is None and not config.heads

    return Layout(
        name=name,
        rows=tables.bert(""),
        starts=("embeddings.word_embeddings",),
        lacks=("transformation.", "vision_model."),
        model_types=(section.model_type,),
        aliases=((rf"^{prefix}\.", ""), (r"^encoder\.layers\.", "encoder.layer."), *_OLD_NORMS),
        ignored=_HEADS,
        read=lambda settings, _shapes: ModelConfig(
            vision=None, text=section.read(settings), heads=heads_of("text-tower")
        ),
        write=write,
        holds=holds,
        absent=section.absent,
    )


XLM_ROBERTA_TOWER: Final = _tower("Hugging Face XLM-RoBERTa", XLM_R, "roberta", "XLMRobertaModel")
# AltCLIP's own text tower saved without its read-out: the same names under another model_type and other defaults.
ALT_ROBERTA_TOWER: Final = _tower("Hugging Face AltRobertaModel", altclip.TEXT, "roberta", "AltRobertaModel")
BERT_TOWER: Final = _tower("Hugging Face BERT", BERT, "bert", "BertModel")
