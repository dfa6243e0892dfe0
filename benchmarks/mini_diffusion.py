"""How good the bundled model that draws is: whether its pictures show what was asked for, and differ by seed.

    python benchmarks/mini_diffusion.py --data shared/data
    python benchmarks/mini_diffusion.py --data shared/data --model scratch=runs/scratch/all/model --concepts 100
    python benchmarks/mini_diffusion.py --data shared/data --sheet docs/images/mini-diffusion.jpg --no-write

Found: mini's image tower reads a picture that was drawn from a concept's name, and all concepts are ranked by the
cosine of their names in the same language; R@k is the share of pictures whose concept is among the first k (with a
95 % Wilson interval). Every n-th concept is drawn, with the seed of its place; the real drawings of the same concepts
stand beside, each style a row. `--judge DIR` is another model that reads the pictures, such as one that never saw a
style.
Diversity: mean cosine distance between the pictures of one prompt by eight seeds, beside that between the real drawings
of a concept, and between those of different concepts.
"""

from __future__ import annotations

import argparse
import io
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import RESULTS, write_result
from numpy.typing import NDArray
from PIL import Image

from altclip.data.labels import Labels, read_labels
from altclip.data.reading import open_rows
from altclip.diffusion import grid, open_pipeline
from altclip.encoder import Encoder
from altclip.languages import LANGUAGES, Language
from altclip.metrics import wilson

RANKS = (1, 10, 50)
SEEDS = 8
# What the sheet shows: simple things of several kinds, none chosen by how it came out.
SHEET = (
    "red apple", "red heart", "sun with face", "deciduous tree", "cat face", "fish", "house", "automobile", "umbrella",
    "rocket",
)  # fmt: skip
Vectors = NDArray[np.float32]


def main() -> None:
    arguments = parsed()
    names = read_labels(arguments.data / "emoji/concepts.jsonl", "id", ["names"])
    models = dict(given.split("=", 1) for given in arguments.model or ["mini-diffusion=mini-diffusion"])
    drawing = {name: opened(folder) for name, folder in models.items()}
    if arguments.sheet:
        contact_sheet(next(iter(drawing.values())), names, arguments).save(arguments.sheet, quality=90)
        return
    judge = Encoder(arguments.judge)
    chosen = sorted(names.names)[:: max(1, len(names.names) // arguments.concepts)][: arguments.concepts]
    drawings = real_drawings(arguments.data, chosen)
    result: dict[str, Any] = {
        "settings": {"concepts": len(chosen), "among": len(names.names), "steps": arguments.steps,
                     "guidance": arguments.guidance, "judge": Path(arguments.judge).name},
        "real": {style: found(judge, names, of_style, LANGUAGES) for style, of_style in drawings.items()},
        "real_diversity": real_diversity(judge, drawings),
    }  # fmt: skip
    for name, pipeline in drawing.items():
        result[name] = measured(pipeline, judge, names, chosen, arguments)
        print(name, {code: row["R@10"] for code, row in result[name]["found"].items()}, result[name]["diversity"])
    if not arguments.no_write:
        print(write_result("mini_diffusion", result, ["diffusers"]))
        (RESULTS / "mini_diffusion.md").write_text(table(result), encoding="utf-8")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with emoji/")
    parser.add_argument("--model", action="append", metavar="NAME=DIR", help="repeatable; else the bundled one")
    parser.add_argument("--judge", default="mini", help="what reads the pictures; mini if not given")
    parser.add_argument("--concepts", type=int, default=200)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--languages", type=lambda text: text.split(","), default=list(LANGUAGES))
    parser.add_argument("--sheet", type=Path, help="only draw this sheet: a row a concept, a column a language")
    parser.add_argument("--no-write", action="store_true")
    return parser.parse_args()


def opened(folder: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = open_pipeline(folder, device="cpu")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def drawn(
    pipeline: Any, prompts: Sequence[str], seeds: Sequence[int], options: argparse.Namespace
) -> list[Image.Image]:
    """A picture of each prompt from its own seed, 32 at a time."""
    pictures: list[Image.Image] = []
    for at in range(0, len(prompts), 32):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[at : at + 32]]
        pictures += pipeline(
            list(prompts[at : at + 32]), generator=generators, num_inference_steps=options.steps,
            guidance_scale=options.guidance,
        ).images  # fmt: skip
    return pictures


def measured(
    pipeline: Any, judge: Encoder, names: Labels, chosen: Sequence[str], options: argparse.Namespace
) -> dict[str, Any]:
    pictures = {}
    for language in options.languages:
        prompts = [names.names[key][language][0] for key in chosen]
        images = drawn(pipeline, prompts, range(len(prompts)), options)
        pictures[language] = dict(zip(chosen, images, strict=True))
    return {
        "found": {code: found(judge, names, of, [code])[code] for code, of in pictures.items()},
        "diversity": diversity(pipeline, judge, names, chosen[:: max(1, len(chosen) // 24)][:24], options),
    }


def found(
    judge: Encoder, names: Labels, pictures: dict[str, Image.Image], languages: Sequence[Language]
) -> dict[str, dict[str, Any]]:
    """R@k of the pictures' concepts among all, by language; of concepts with equal names either counts."""
    vectors = judge.encode_images(list(pictures.values()))
    rows = {}
    for language in languages:
        texts = [names.names[key][language][0] for key in sorted(names.names)]
        asked = [names.names[key][language][0] for key in pictures]
        scores = vectors @ judge.encode_texts(texts).T
        own = scores[np.arange(len(asked)), [texts.index(text) for text in asked]]
        ranks = (scores > own[:, None] + 1e-6).sum(1)
        rows[language] = {f"R@{k}": round(float((ranks < k).mean()), 4) for k in RANKS}
        interval = wilson(int((ranks < 10).sum()), len(ranks))
        rows[language]["interval of R@10"] = [round(interval.low, 4), round(interval.high, 4)]
    return rows


def diversity(
    pipeline: Any, judge: Encoder, names: Labels, chosen: Sequence[str], options: argparse.Namespace
) -> dict[str, float]:
    prompts = [names.names[key]["en"][0] for key in chosen for _ in range(SEEDS)]
    images = drawn(pipeline, prompts, list(range(SEEDS)) * len(chosen), options)
    vectors = judge.encode_images(images).reshape(len(chosen), SEEDS, -1)
    return {"by seed": apart(list(vectors)), "by concept": apart([vectors[:, 0]])}


def real_diversity(judge: Encoder, drawings: dict[str, dict[str, Image.Image]]) -> dict[str, float]:
    by_concept: dict[str, list[Vectors]] = defaultdict(list)
    for of_style in drawings.values():
        for key, vector in zip(of_style, judge.encode_images(list(of_style.values())), strict=True):
            by_concept[key].append(vector)
    several = [np.stack(vectors) for vectors in by_concept.values() if len(vectors) > 1]
    return {"by style": apart(several), "by concept": apart([np.stack([vectors[0] for vectors in several])])}


def apart(groups: Sequence[Vectors]) -> float:
    """Mean cosine distance between the members of a group."""
    distances = [1 - (group @ group.T)[np.triu_indices(len(group), 1)].mean() for group in groups]
    return round(float(np.mean(distances)), 4)


def real_drawings(data: Path, chosen: Sequence[str]) -> dict[str, dict[str, Image.Image]]:
    """style -> concept -> drawing, at the size of those that are made."""
    wanted = set(chosen)
    kept: dict[str, dict[str, Image.Image]] = defaultdict(dict)
    for row in rows_of(data):
        if row["id"] in wanted:
            image = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGBA")
            white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
            kept[row["style"]][row["id"]] = white.resize((64, 64), Image.Resampling.BICUBIC)
    return kept


def rows_of(data: Path) -> Iterator[dict[str, Any]]:
    yield from open_rows(data / "emoji/images.parquet", columns=["image", "id", "style"])


def contact_sheet(pipeline: Any, names: Labels, options: argparse.Namespace) -> Image.Image:
    """Rows of SHEET, columns of LANGUAGES, all from one seed."""
    keys = {texts["en"][0]: key for key, texts in names.names.items()}
    shown = [keys[name] for name in SHEET if name in keys]
    prompts = [names.names[key][language][0] for key in shown for language in LANGUAGES]
    return grid(drawn(pipeline, prompts, [0] * len(prompts), options), columns=len(LANGUAGES))


def table(result: dict[str, Any]) -> str:
    settings = result["settings"]
    models = [name for name in result if name not in ("settings", "real", "real_diversity", "circumstances")]
    head = ["", *LANGUAGES]
    rows = [[f"{name}, drawn", *(percent(result[name]["found"].get(code)) for code in LANGUAGES)] for name in models]
    rows += [[f"real: {style}", *(percent(of[code]) for code in LANGUAGES)] for style, of in result["real"].items()]
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    spread = [f"{name}: {result[name]['diversity']}" for name in models] + [f"real: {result['real_diversity']}"]
    return (
        f"# Pictures drawn by mini-diffusion\n\nR@10 in percent among {settings['among']} concepts, of "
        f"{settings['concepts']} drawn in each language; {settings['steps']} steps, guidance {settings['guidance']}, "
        f"read by {settings['judge']}.\n\n"
        + "\n".join(lines)
        + "\n\nMean cosine distances: "
        + "; ".join(spread)
        + ".\n"
    )


def percent(row: dict[str, Any] | None) -> str:
    return f"{100 * row['R@10']:.1f}" if row else ""


if __name__ == "__main__":
    main()
