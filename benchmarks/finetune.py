"""Fine-tuning on classes that a model was never shown nor told: what it gains on them, and loses on the others.

    python benchmarks/finetune.py --data shared/data
    python benchmarks/finetune.py --data shared/data --model runs/mini-180/align/model     # one that is trained already
    python benchmarks/finetune.py --data shared/data --trial --no-write                    # a few steps on few images

1. 20 of the 200 classes are chosen (`unseen_classes`): named in all nine languages, no name in that of another class.
2. mini-180 is the recipe `mini`, shortened, with `--set data.exclude_classes=FILE`.
3. It is fine-tuned for three minutes on the training images of the 20 classes, by their names in nine languages: all
   weights and LoRA with as many images of the 180 beside them (so that new names learn to stand before old ones), and
   all weights on the 20 alone. WiSE-FT averages the first of these with mini-180.
4. Top-1 by language, with templates, on validation images: of the 20 and of the other 180 among all classes that have a
   name in the language, and of the 20 among themselves.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, write_result

from altclip.data.labels import Labels, read_labels
from altclip.data.reading import open_rows
from altclip.encoder import Encoder
from altclip.evaluate.embedding import embed_images, embed_labels
from altclip.evaluate.mini.data import ImageSet, read_photographs
from altclip.evaluate.mini.zeroshot import Embedded, Named, class_ranks
from altclip.languages import LANGUAGES
from altclip.metrics import wilson
from altclip.prompts import label_set
from altclip.train.leftout import LeftOut
from altclip.train.loading import load_recipe
from altclip.train.logs import read_log
from altclip.train.merging import merge
from altclip.train.run import run_recipe

UNSEEN = 20
CLASSES = "photos/classes.jsonl"
TRIAL = {"teacher": 3, "distill": 3, "align": 3}
ALPHAS = (0.25, 0.5, 0.75)
RATE = "stages.finetune.optimizer.learning_rate="
ALL_WEIGHTS = [RATE + "1e-3"]
LORA = ["stages.finetune.lora.rank=16", r"stages.finetune.lora.target=\.layers\.", RATE + "4e-3"]
GROUPS = {
    "unseen": "the 20 classes that mini-180 never saw, among all",
    "among themselves": "the 20 classes, among themselves",
    "others": "the other 180, among all",
}


def main() -> None:
    arguments = parsed()
    work = arguments.work or Path(tempfile.mkdtemp(prefix="finetune-"))
    data = few_images(arguments.data, work / "data") if arguments.trial else arguments.data
    classes = all_names(data)
    unseen = unseen_classes(classes)
    listed = work / "unseen.txt"
    listed.parent.mkdir(parents=True, exist_ok=True)
    listed.write_text("".join(f"{key}\n" for key in unseen), encoding="utf-8")
    base = arguments.model or mini_180(arguments, data, listed, work)
    models: dict[str, tuple[Path, dict[str, Any]]] = {"mini-180": (base, {})}
    alone, told = finetuned(arguments, data, base, unseen, classes, work / "alone", ALL_WEIGHTS, beside=False)
    models["all weights, the 20 alone"] = alone / "model", told
    full, told = finetuned(arguments, data, base, unseen, classes, work / "full", ALL_WEIGHTS)
    models["all weights"] = full / "model", told
    lora, told = finetuned(arguments, data, base, unseen, classes, work / "lora", LORA)
    models["LoRA"] = merge(base, lora / "adapter", fresh(work / "lora-merged")), told
    for alpha in ALPHAS:
        folder = merge(base, full / "model", fresh(work / f"wise-{alpha}"), alpha=alpha)
        models[f"WiSE-FT {alpha}"] = folder, {"alpha": alpha}
    images = read_photographs(data / "photos/val.parquet", "")
    rows = {name: {**told, **measured(folder, images, classes, unseen)} for name, (folder, told) in models.items()}
    result = {
        "unseen": unseen, "seconds": arguments.seconds, "batch": arguments.batch,
        "steps_of_mini_180": None if arguments.model else steps_of(arguments), "models": rows,
    }  # fmt: skip
    print(table(result))
    if not arguments.no_write:
        path = write_result("finetune", result, ["peft", "accelerate", "datasets"])
        circumstances = json.loads(path.read_text(encoding="utf-8"))["circumstances"]
        (RESULTS / "finetune.md").write_text(page(result, circumstances), encoding="utf-8")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="laid out as docs/mini-data.md says")
    parser.add_argument("--model", type=Path, help="a mini-180 that is trained already")
    parser.add_argument("--work", type=Path, help="folder for models and logs; a temporary one if left out")
    parser.add_argument("--seconds", type=float, default=180.0, help="of fine-tuning")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--teacher-steps", type=int, default=1500)
    parser.add_argument("--distill-steps", type=int, default=500)
    parser.add_argument("--align-steps", type=int, default=300)
    parser.add_argument("--trial", action="store_true", help="three steps of everything on some hundred images")
    parser.add_argument("--no-write", action="store_true")
    return parser.parse_args()


def all_names(data: Path) -> Labels:
    """The names of the 200 classes as training has them: the file's, and the project's own."""
    own = {language: label_set("mini", language) for language in LANGUAGES}
    return read_labels(data / CLASSES, "wnid").adding(own)


def unseen_classes(labels: Labels, count: int = UNSEEN) -> list[str]:
    """Evenly over the sorted keys: named in all languages, and without them no other class loses a name."""
    fit = []
    for key in sorted(labels.keys_in(LANGUAGES)):
        others = Labels({other: names for other, names in labels.names.items() if other != key})
        if LeftOut.of_classes([labels], frozenset({key})).clean_labels(others) == others:
            fit.append(key)
    if len(fit) < count:
        raise SystemExit(f"only {len(fit)} classes have names of their own in all languages: expected {count}")
    return [fit[place] for place in np.linspace(0, len(fit) - 1, count).astype(int)]


# --- training ---


def steps_of(arguments: argparse.Namespace) -> dict[str, int]:
    if arguments.trial:
        return TRIAL
    return {name: getattr(arguments, f"{name}_steps") for name in TRIAL}


def mini_180(arguments: argparse.Namespace, data: Path, listed: Path, work: Path) -> Path:
    """The recipe `mini`, shortened, without the listed classes; goes on where it stopped."""
    changes = [f"stages.{name}.steps={steps}" for name, steps in steps_of(arguments).items()]
    if arguments.trial:
        changes += [f"stages.{name}.batch_size=32" for name in TRIAL]
    recipe = load_recipe("mini", [f"data.exclude_classes={listed}", *changes])
    last = run_recipe(recipe, data, work / "mini-180", resume=True, report=print, show_progress=False)
    return last / "model"


def finetuned(
    arguments: argparse.Namespace, data: Path, base: Path, unseen: Sequence[str], classes: Labels, output: Path,
    changes: list[str], *, beside: bool = True,
) -> tuple[Path, dict[str, Any]]:  # fmt: skip
    """The stage's folder after as many steps as the time allows, told by a short run before; and what it took."""
    changes = [*changes, f"stages.finetune.pairs={pairs_of(classes, unseen, beside)}"]
    before = fresh(output.with_name(f"{output.name}-timing"))
    trial = tune(arguments, data, base, before, [*changes, *of_steps(12)])
    rates = [entry["rate"] for entry in read_log(trial / "log.jsonl") if "rate" in entry]
    steps = 3 if arguments.trial else max(20, int(arguments.seconds * rates[-1] / arguments.batch))
    began = time.perf_counter()
    folder = tune(arguments, data, base, fresh(output), [*changes, *of_steps(steps)])
    return folder, {"steps": steps, "seconds": round(time.perf_counter() - began, 1)}


def of_steps(steps: int) -> list[str]:
    return [
        f"stages.finetune.steps={steps}", f"stages.finetune.optimizer.warmup_steps={max(1, steps // 10)}",
        "stages.finetune.log_every=6", f"stages.finetune.checkpoint_every={steps}",
    ]  # fmt: skip


def pairs_of(classes: Labels, unseen: Sequence[str], beside: bool) -> str:
    """The training images of the unseen classes; with `beside` half of every batch is of the others."""
    languages = json.dumps(list(LANGUAGES))
    labels = f"{{path='{CLASSES}', key='wnid', own='mini', languages={languages}, template_share=0.4}}"
    others = [key for key in classes.names if key not in unseen]
    left_out = [others, list(unseen)] if beside else [others]
    pairs = (
        f"{{path='photos/train.parquet', label='wnid', labels={labels}, exclude={{wnid={json.dumps(keys)}}}}}"
        for keys in left_out
    )
    return f"[{', '.join(pairs)}]"


def tune(arguments: argparse.Namespace, data: Path, base: Path, output: Path, changes: list[str]) -> Path:
    """The shipped recipe `finetune` from that model."""
    recipe = load_recipe("finetune", [f"model={base}", f"stages.finetune.batch_size={arguments.batch}", *changes])
    return run_recipe(recipe, data, output, report=print, show_progress=False)


def fresh(folder: Path) -> Path:
    """The folder's path, with nothing there."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


# --- measuring ---


def measured(folder: Path, images: ImageSet, classes: Labels, unseen: Sequence[str]) -> dict[str, Any]:
    """Top-1 by group and language."""
    encoder = Encoder(folder)
    embedded = embed_images(encoder, images)
    named = embed_labels(encoder, classes, LANGUAGES, "templates")
    others = [key for key in classes.names if key not in unseen]
    asked = {
        "unseen": (list(unseen), classes.names),
        "among themselves": (list(unseen), unseen),
        "others": (others, classes.names),
    }
    return {
        group: {language: top_1(embedded, named[language].among(choices), keys) for language in LANGUAGES}
        for group, (keys, choices) in asked.items()
    }


def top_1(images: Embedded, named: Named, keys: Iterable[str]) -> dict[str, float]:
    """Of the images of these classes, among the named ones; with its 95 % interval and how many images."""
    shown = images.of([key for key in keys if key in named.keys])
    ranks = class_ranks(images, shown, named)
    share = wilson(int((ranks == 0).sum()), len(ranks))
    return {"top_1": share.value, "low": share.low, "high": share.high, "images": len(ranks)}


def few_images(data: Path, folder: Path) -> Path:
    """The data folder with two training images and one validation image a class, for a trial."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("emoji", "parallel", "captioned"):
        if not (folder / name).exists():
            (folder / name).symlink_to((data / name).resolve())
    (folder / "photos").mkdir(exist_ok=True)
    shutil.copy(data / CLASSES, folder / CLASSES)
    for name, count in (("train", 2), ("val", 1)):
        rows = open_rows(data / f"photos/{name}.parquet")
        seen: dict[str, int] = {}
        kept = []
        for index, key in enumerate(rows["wnid"]):
            seen[key] = seen.get(key, 0) + 1
            if seen[key] <= count:
                kept.append(index)
        rows.select(kept).to_parquet(str(folder / f"photos/{name}.parquet"))
    return folder


# --- showing ---


def table(result: dict[str, Any]) -> str:
    """Top-1 in percent: a row a model, a column a language, the mean last."""
    lines = []
    for group, title in GROUPS.items():
        lines += [f"Top-1 on {title}, in percent:", "", f"| model | {' | '.join(LANGUAGES)} | mean |"]
        lines.append(f"|---|{'---:|' * (len(LANGUAGES) + 1)}")
        for name, row in result["models"].items():
            values = [row[group][language]["top_1"] * 100 for language in LANGUAGES]
            lines.append(f"| {name} | {' | '.join(f'{v:.1f}' for v in values)} | {np.mean(values):.1f} |")
        lines.append("")
    return "\n".join(lines)


def page(result: dict[str, Any], circumstances: dict[str, Any]) -> str:
    """The tables with what they were made with."""
    steps = ", ".join(
        f"{name}: {row['steps']} steps in {row['seconds']} s"
        for name, row in result["models"].items()
        if "steps" in row
    )
    trained = result["steps_of_mini_180"]
    how = ", ".join(f"{stage} {count}" for stage, count in trained.items()) if trained else "given"
    machine, images = circumstances["machine"], result["models"]["mini-180"]["unseen"]["en"]["images"]
    return (
        "# Fine-tuning on classes that were never seen\n\n"
        'Made by `benchmarks/finetune.py`. Names are used with templates; "all" are the classes that have a name in '
        f"the language. {images} images of the 20 classes. Learning rate {ALL_WEIGHTS[0].partition('=')[2]} for all "
        f"weights, {LORA[-1].partition('=')[2]} for LoRA. Half of every batch is images of the other 180, but where it "
        "says that the 20 were alone.\n\n"
        f"mini-180, steps: {how}.\n\n"
        f"Fine-tuning, {result['seconds']:.0f} seconds each, batch {result['batch']}: {steps}.\n\n"
        f"{table(result)}\n"
        f"{circumstances['date']}, commit {circumstances['commit']}, {machine['processor']}, "
        f"{machine['threads']} threads, torch {circumstances['versions']['torch']}.\n"
    )


if __name__ == "__main__":
    main()
