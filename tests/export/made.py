"""Tiny models of several families as folders, and pictures: what the conversions here are made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import tokenizers
from PIL import Image
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from altclip.checkpoints import save_model
from altclip.encoder import Encoder
from altclip.models import ModelConfig, heads_of
from altclip.processing import Processor, Tokenizer
from tests.tiny import MAX_TOKENS, SENTENCES, tiny_config, tiny_model, tiny_processor

TEXTS = ["a cat", "一只猫和一只狗", "", "un chien  et un chat", "قطة وكلب", "собака, кошка! " * 20]
FAMILIES = ("altclip", "clip", "chinese-clip")  # those that transformers has too
START, END = "<|startoftext|>", "<|endoftext|>"


def clip_tokenizer() -> Tokenizer:
    """Lower-casing byte-level BPE that pads with its end of text, as OpenAI's does."""
    backend = tokenizers.Tokenizer(models.BPE(unk_token=END))
    backend.normalizer = tokenizers.normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(SENTENCES, trainer)
    ends = [(token, backend.token_to_id(token)) for token in (START, END)]
    backend.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    tokens = {"bos": START, "eos": END, "unk": END, "pad": END}
    return Tokenizer(backend, tokens=tokens, model_max_length=MAX_TOKENS)


def config_of(family: str) -> ModelConfig:
    """A tiny configuration: any of the families that the table below has."""
    config = tiny_config()
    assert config.text is not None
    bert = replace(config.text, architecture="bert", max_position_embeddings=MAX_TOKENS, type_vocab_size=2)
    texts = {
        "altclip": config.text,
        "altclip-m18": config.text,
        "m-clip": config.text,
        **dict.fromkeys(("chinese-clip", "taiyi-classifier", "taiyi-pooler"), bert),
        "clip": replace(
            config.text,
            architecture="clip",
            max_position_embeddings=MAX_TOKENS,
            hidden_act="quick_gelu",
            pad_token_id=1,
            bos_token_id=0,
            eos_token_id=1,
        ),
    }
    return replace(config, text=texts[family], heads=heads_of(family))


def processor_of(family: str) -> Processor:
    processor = tiny_processor()
    return Processor(processor.image_processor, clip_tokenizer()) if family == "clip" else processor


def encoder_of(family: str) -> Encoder:
    """A model in memory of that family, of random weights."""
    return Encoder.from_model(tiny_model(3, config_of(family)), processor_of(family))


def model_folder(folder: Path, family: str) -> Path:
    """A model folder of that family, with a card and a licence file."""
    save_model(tiny_model(3, config_of(family)), folder)
    processor_of(family).save(folder)
    card = "---\nlicense: creativeml-openrail-m\nlanguage: [en, zh]\n---\n\n# A tiny model\n\nKnows nothing.\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / "LICENSE.txt").write_text("the terms", encoding="utf-8")
    return folder


def photos() -> list[Image.Image]:
    """Upright, wide and small pictures."""
    random = np.random.default_rng(5)
    sizes = [(40, 61), (90, 33), (32, 32), (17, 20)]
    return [
        Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
        for size in sizes
    ]
