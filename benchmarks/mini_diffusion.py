"""How good the bundled model that draws is: whether its pictures show what was asked for, and differ by seed.

    python benchmarks/mini_diffusion.py --data DIR
    python benchmarks/mini_diffusion.py --data DIR --model mini-diffusion=mini-diffusion --model "from scratch=FOLDER"
    python benchmarks/mini_diffusion.py --data DIR --sheet docs/images/mini-diffusion.jpg --steps 60
    python benchmarks/mini_diffusion.py --data DIR --sheet docs/images/mini-diffusion-36.jpg --steps 60 --every 40

Found: mini's image tower reads a picture that was drawn from a concept's name, and all concepts are ranked by the
cosine of their names in the same language; R@k is the share of pictures whose concept is among the first k (with a
95 % Wilson interval). Every n-th concept is drawn, with the seed of its place; the real drawings of the same concepts
stand beside, each style a row (where it has the concept), and Twemoji's made as coarse as 16, 8 and 4 pixels a side and
large again: what the judge finds where next to nothing can be seen. It is the model whose text tower conditions the
pictures, so it is no independent one; `--judge DIR` is another.
Diversity: mean cosine distance between the pictures of one prompt by eight seeds, beside that between the real drawings
of the same concepts, and between those of different concepts.
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
from altclip.diffusion.generating import own_guidance
from altclip.encoder import Encoder
from altclip.languages import LANGUAGES, Language
from altclip.metrics import wilson

RANKS = (1, 10, 50)
SEEDS = 8
VARIED = 32  # concepts, of which the pictures of several seeds are compared
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
    varied = chosen[:: max(1, len(chosen) // VARIED)]
    coarse = {f"twemoji, {side} x {side}": coarser(drawings["twemoji"], side) for side in (16, 8, 4)}
    result: dict[str, Any] = {
        "settings": {"concepts": len(chosen), "among": len(names.names), "steps": arguments.steps,
                     "guidance": arguments.guidance or "the model's own", "judge": Path(arguments.judge).name},
        "real": {style: found(judge, names, of_style, LANGUAGES) for style, of_style in {**drawings, **coarse}.items()},
        "real_diversity": real_diversity(judge, drawings, varied),
    }  # fmt: skip
    for name, pipeline in drawing.items():
        result[name] = measured(pipeline, judge, names, chosen, varied, arguments)
        print(name, {code: row["R@10"] for code, row in result[name]["found"].items()}, result[name]["diversity"])
    if not arguments.no_write:
        print(write_result("mini_diffusion", result, ["diffusers"]))
        (RESULTS / "mini_diffusion.md").write_text(table(result), encoding="utf-8")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with emoji/")
    parser.add_argument("--model", action="append", metavar="NAME=DIR", help="repeatable; else the bundled one")
    parser.add_argument("--judge", default="mini", help="what reads the pictures; mini if not given")
    parser.add_argument("--concepts", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--guidance", type=float, help="else the model's own")
    parser.add_argument("--languages", type=lambda text: text.split(","), default=list(LANGUAGES))
    parser.add_argument("--sheet", type=Path, help="only draw this sheet: a row a concept, a column a language")
    parser.add_argument("--every", type=int, metavar="N", help="on the sheet: every N-th concept, the first 36 of them")
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
            guidance_scale=options.guidance or own_guidance(pipeline),
        ).images  # fmt: skip
    return pictures


def measured(
    pipeline: Any,
    judge: Encoder,
    names: Labels,
    chosen: Sequence[str],
    varied: Sequence[str],
    options: argparse.Namespace,
) -> dict[str, Any]:
    pictures = {}
    for language in options.languages:
        prompts = [names.names[key][language][0] for key in chosen]
        images = drawn(pipeline, prompts, range(len(prompts)), options)
        pictures[language] = dict(zip(chosen, images, strict=True))
    return {
        "found": {code: found(judge, names, of, [code])[code] for code, of in pictures.items()},
        "diversity": diversity(pipeline, judge, names, varied, options),
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
        rows[language]["pictures"] = len(ranks)
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


def real_diversity(
    judge: Encoder, drawings: dict[str, dict[str, Image.Image]], chosen: Sequence[str]
) -> dict[str, float]:
    by_concept: dict[str, list[Vectors]] = defaultdict(list)
    for of_style in drawings.values():
        some = {key: of_style[key] for key in chosen if key in of_style}
        for key, vector in zip(some, judge.encode_images(list(some.values())), strict=True):
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


def coarser(pictures: dict[str, Image.Image], side: int) -> dict[str, Image.Image]:
    """The same with nothing finer than so many pixels a side."""
    small = {key: picture.resize((side, side), Image.Resampling.BOX) for key, picture in pictures.items()}
    return {key: picture.resize((64, 64), Image.Resampling.BICUBIC) for key, picture in small.items()}


def rows_of(data: Path) -> Iterator[dict[str, Any]]:
    yield from open_rows(data / "emoji/images.parquet", columns=["image", "id", "style"])


def contact_sheet(pipeline: Any, names: Labels, options: argparse.Namespace) -> Image.Image:
    """Rows of SHEET, columns of LANGUAGES, all from one seed; or every n-th concept in English, each from its own."""
    if options.every:
        chosen = sorted(names.names)[:: options.every][:36]
        return grid(drawn(pipeline, [names.names[key]["en"][0] for key in chosen], range(36), options), columns=12)
    keys = {texts["en"][0]: key for key, texts in names.names.items()}
    shown = [keys[name] for name in SHEET if name in keys]
    prompts = [names.names[key][language][0] for key in shown for language in LANGUAGES]
    return grid(drawn(pipeline, prompts, [0] * len(prompts), options), columns=len(LANGUAGES))


def table(result: dict[str, Any]) -> str:
    settings = result["settings"]
    models = [name for name in result if name not in ("settings", "real", "real_diversity", "circumstances")]
    head = ["", *LANGUAGES, "mean", "pictures of a language"]
    rows = [row_of(f"{name}, drawn", result[name]["found"]) for name in models]
    rows += [row_of(f"real: {style}", of) for style, of in result["real"].items()]
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    spread = [f"{name}: {result[name]['diversity']}" for name in models] + [f"real: {result['real_diversity']}"]
    return (
        f"# Pictures drawn by mini-diffusion\n\nR@10 in percent (95 % interval) among {settings['among']} concepts, of "
        f"{settings['concepts']} drawn in each language; {settings['steps']} steps, guidance {settings['guidance']}, "
        f"read by {settings['judge']}.\n\n"
        + "\n".join(lines)
        + "\n\nMean cosine distances: "
        + "; ".join(spread)
        + ".\n"
    )


def row_of(name: str, found: dict[str, dict[str, Any]]) -> list[str]:
    rows = list(found.values())
    mean = f"{100 * sum(row['R@10'] for row in rows) / len(rows):.1f}"
    return [name, *(percent(found.get(code)) for code in LANGUAGES), mean, str(rows[0]["pictures"])]


def percent(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    low, high = (100 * end for end in row["interval of R@10"])
    return f"{100 * row['R@10']:.0f} ({low:.0f} to {high:.0f})"


if __name__ == "__main__":
    main()
