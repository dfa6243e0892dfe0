"""The smallest model folder that `Encoder` opens: random towers, and a byte-level tokenizer trained on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from altclip.checkpoints import save_model
from altclip.models import DualEncoder, ModelConfig, TextConfig, VisionConfig, heads_of, initialise
from altclip.processing import ImageProcessor, Processor, Tokenizer

SIDE = 32
DIM = 16
MAX_TOKENS = 24
SENTENCES = (
    "a photo of a cat and a dog",
    "一只猫和一只狗",
    "un chien et un chat",
    "собака и кошка",
    "猫とネコと犬",
    "고양이와 개",
    "قطة وكلب",
    "un gatto e un cane",
    "un gato y un perro",
)
SPECIAL = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "sep": "</s>", "cls": "<s>"}


def tiny_tokenizer() -> Tokenizer:
    """Byte-level BPE: every text of every script has ids, and different texts have different ones."""
    backend = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(dict.fromkeys(SPECIAL.values())),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(SENTENCES, trainer)
    ends = [(token, backend.token_to_id(token)) for token in ("<s>", "</s>")]
    backend.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return Tokenizer(backend, tokens=SPECIAL, model_max_length=MAX_TOKENS)


def tiny_processor() -> Processor:
    """The tokenizer and CLIP's image settings at the tiny size."""
    size = {"height": SIDE, "width": SIDE}
    return Processor(ImageProcessor(size={"shortest_edge": SIDE}, crop_size=size), tiny_tokenizer())


def tiny_config(vocab_size: int = 400, family: str = "altclip") -> ModelConfig:
    """Two layers a tower. Weights drawn this wide tell texts and images well apart."""
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    text = TextConfig(
        **sizes, vocab_size=vocab_size, max_position_embeddings=MAX_TOKENS + 2, project_dim=DIM, initializer_range=0.5
    )
    vision = VisionConfig(**sizes, image_size=SIDE, patch_size=8, initializer_range=0.5)
    return ModelConfig(vision=vision, text=text, projection_dim=DIM, heads=heads_of(family))


def tiny_model(seed: int = 0, config: ModelConfig | None = None) -> DualEncoder:
    """A model of random weights, the same for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return initialise(DualEncoder(config or tiny_config())).eval()


def tiny_model_folder(path: Path, seed: int = 0) -> Path:
    """A folder with weights, configuration, tokenizer and image settings."""
    save_model(tiny_model(seed), path)
    tiny_processor().save(path)
    return path
