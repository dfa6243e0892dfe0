"""The other tools of train_step.py, each measured on its own: sentence-transformers' recipe, open_clip.

It imports nothing of altclip, since open_clip lives in an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["sentence-transformers", "open_clip 77", "open_clip longest"])
    for name in ("batch", "threads", "layers", "steps"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(json.dumps(sentence_transformers(arguments) if arguments.peer.startswith("s") else open_clip(arguments)))


# --- sentence-transformers ---


def sentence_transformers(arguments: argparse.Namespace) -> dict[str, float]:
    """Its recipe for making a model multilingual: labels by the teacher, then the trainer with MSELoss."""
    import datasets
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer import losses

    datasets.disable_progress_bars()
    student, teacher = (encoder(arguments.folder, name) for name in ("student", "teacher"))
    pairs = json.loads((arguments.folder / "pairs.json").read_text(encoding="utf-8"))
    count = len(pairs) // arguments.batch * arguments.batch
    pairs = pairs[: arguments.steps * arguments.batch if arguments.steps else count]
    began = time.perf_counter()
    rows = datasets.Dataset.from_dict({"english": [p[0] for p in pairs], "non_english": [p[1] for p in pairs]})
    rows = rows.map(
        lambda batch: {"label": teacher.encode(batch["english"], batch_size=64, show_progress_bar=False)},
        batched=True, batch_size=30000,
    )  # fmt: skip
    labelled = time.perf_counter() - began
    settings = SentenceTransformerTrainingArguments(
        output_dir=str(arguments.folder / "out"), per_device_train_batch_size=arguments.batch, num_train_epochs=1,
        learning_rate=1e-3, use_cpu=True, report_to="none", save_strategy="no", logging_strategy="no",
        disable_tqdm=True, weight_decay=0.05, max_grad_norm=1.0,
    )  # fmt: skip
    trainer = SentenceTransformerTrainer(student, settings, train_dataset=rows, loss=losses.MSELoss(student))
    began = time.perf_counter()
    trainer.train()
    trained = time.perf_counter() - began
    return {
        "samples_per_second": round(len(pairs) / (labelled + trained), 2),
        "samples_per_second_without_teacher": round(len(pairs) / trained, 2),
        "teacher_seconds": round(labelled, 2),
    }


def encoder(folder: Path, name: str) -> Any:
    """AltCLIP's read-out in its modules: first token, norm, linear, projection; the weights are those of our folder."""
    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm, Pooling, Transformer
    from torch.nn import Identity

    weights = load_file(folder / name / "model.safetensors")
    tower = Transformer(str(folder / f"{name}-tower"), max_seq_length=64)
    wide, space = weights["text_projection.weight"].shape[1], weights["text_projection.weight"].shape[0]
    width = weights["text_model.pre_LN.weight"].shape[0]
    norm = LayerNorm(width)
    linear = Dense(width, wide, activation_function=Identity())
    projection = Dense(wide, space, bias=False, activation_function=Identity())
    norm.norm.load_state_dict({key: weights[f"text_model.pre_LN.{key}"] for key in ("weight", "bias")})
    linear.linear.load_state_dict({key: weights[f"text_model.transformation.{key}"] for key in ("weight", "bias")})
    projection.linear.load_state_dict({"weight": weights["text_projection.weight"]})
    return SentenceTransformer(modules=[tower, Pooling(width, "cls"), norm, linear, projection], device="cpu")


# --- open_clip ---


def open_clip(arguments: argparse.Namespace) -> dict[str, float]:
    """Steps with the image tower locked, as `--lock-image` trains: both towers run, the text tower learns."""
    without_cuda()
    import open_clip
    from open_clip.factory import add_model_config

    folder = arguments.folder / "open_clip"
    write_configs(folder, arguments)
    add_model_config(folder)
    model: Any = open_clip.create_model("bench", pretrained=None, pretrained_hf=False)
    model.lock_image_tower()
    model.train()
    loss_of = open_clip.ClipLoss()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    ids = token_ids(arguments)
    images = torch.randn(arguments.batch, 3, 224, 224)
    steps, began = arguments.steps or 3, 0.0
    for step in range(steps + 1):
        if step == 1:
            began = time.perf_counter()
        features = model(images, ids[step % len(ids)])
        loss_of(*features).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return {"samples_per_second": round(steps * arguments.batch / (time.perf_counter() - began), 4)}


def token_ids(arguments: argparse.Namespace) -> list[torch.Tensor]:
    """The batches of captions, padded to 77 tokens as open_clip does, or to the longest of each batch."""
    from tokenizers import Tokenizer

    captions = json.loads((arguments.folder / "captions.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(arguments.folder / "words" / "tokenizer.json"))
    tokenizer.enable_truncation(77)
    batches = []
    for start in range(0, len(captions), arguments.batch):
        rows = [encoding.ids for encoding in tokenizer.encode_batch(captions[start : start + arguments.batch])]
        length = 77 if arguments.peer.endswith("77") else max(map(len, rows))
        batches.append(torch.tensor([row + [1] * (length - len(row)) for row in rows]))
    return batches


def write_configs(folder: Path, arguments: argparse.Namespace) -> None:
    """ViT-L/14 of OpenAI and XLM-R large, by open_clip's names; no weights are fetched."""
    text = {
        "model_type": "xlm-roberta", "vocab_size": 250002, "hidden_size": 1024, "intermediate_size": 4096,
        "num_hidden_layers": arguments.layers, "num_attention_heads": 16, "max_position_embeddings": 514,
        "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
    }  # fmt: skip
    model = {
        "embed_dim": 768, "quick_gelu": True,
        "vision_cfg": {"image_size": 224, "layers": arguments.layers, "width": 1024, "patch_size": 14},
        "text_cfg": {
            "hf_model_name": str(folder / "xlm"), "hf_tokenizer_name": str(folder / "xlm"), "hf_proj_type": "linear",
            "hf_pooler_type": "cls_pooler", "hf_model_pretrained": False,
        },
    }  # fmt: skip
    (folder / "xlm").mkdir(parents=True, exist_ok=True)
    (folder / "xlm" / "config.json").write_text(json.dumps(text), encoding="utf-8")
    (folder / "bench.json").write_text(json.dumps(model), encoding="utf-8")


def without_cuda() -> None:
    """Give a torchvision of CUDA builds the two operators that it looks for, where torch is a CPU build."""
    if not torch.cuda.is_available() and not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        globals()["_library"] = library  # it lives as long as this object


if __name__ == "__main__":
    main()
