"""`altclip generate`: files, JSON, notes, and what is refused before the model is loaded."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from altclip.cli import generate as command
from altclip.diffusion import Picture, generating, read_parameters
from altclip.errors import UsageError
from tests.cli.conftest import Run
from tests.diffusion import made

pytestmark = pytest.mark.usefixtures("on_the_cpu")


@pytest.fixture
def on_the_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALTCLIP_DEVICE", "cpu")
    monkeypatch.chdir(tmp_path)


def test_pictures_of_several_prompts(run: Run, released: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("il gatto nero\n\n", encoding="utf-8")
    code, out, err = run(
        "generate", made.PROMPT, "--prompts", "prompts.txt", "--model", released, "--output", "a/b", "--number", 2,
        "--steps", 2, "--seed", 5, "--size", "64x48", "--negative", "собака", "--set", "guidance=3", "--set", "batch=2",
        "--set", "sampler=dpm++", "--set", "grid=true",
    )  # fmt: skip
    assert code == 0
    assert err.count("without a safety checker") == 1
    files = sorted(Path("a/b").glob("0*.png"))
    assert [file.name for file in files] == ["00001.png", "00002.png", "00003.png", "00004.png"]
    found = [read_parameters(file) for file in files]
    assert [(row["prompt"], row["seed"]) for row in found] == [
        (made.PROMPT, 5), (made.PROMPT, 6), ("il gatto nero", 5), ("il gatto nero", 6),
    ]  # fmt: skip
    assert {(row["width"], row["height"], row["guidance"], row["sampler"]) for row in found} == {(64, 48, 3.0, "dpm++")}
    assert found[0]["negative_prompt"] == "собака"
    with Image.open("a/b/grid-00001.png") as sheet:
        assert sheet.size == (2 * 66 + 2, 2 * 50 + 2)
    assert [line.split("  ")[0] for line in out.splitlines()] == [*map(str, files), "a/b/grid-00001.png"]
    code, out, _ = run("generate", "x", "--model", released, "--output", "a/b", "--steps", 1, "--json")
    document = json.loads(out)
    assert (code, document["complete"], document["grid"]) == (0, True, None)
    assert document["pictures"][0]["file"] == "a/b/00005.png"  # nothing is written over
    assert document["pictures"][0]["parameters"]["prompt"] == "x"


def test_no_sheet_is_written_over(run: Run, released: Path) -> None:
    for _ in range(2):
        code, out, _ = run(
            "generate", "x", "--model", released, "--number", 2, "--steps", 1, "--set", "grid=true", "--seed", 1
        )
        assert code == 0
        for file in Path("generated").glob("0*.png"):
            file.unlink()
    assert out.splitlines()[-1] == str(Path("generated/grid-00001-2.png"))
    assert {file.name for file in Path("generated").iterdir()} == {"grid-00001.png", "grid-00001-2.png"}


def test_from_a_picture(run: Run, released: Path, photograph: Image.Image, tmp_path: Path) -> None:
    photograph.save(tmp_path / "photo.jpg")
    code, _, _ = run(
        "generate", "x", "--model", released, "--image", "photo.jpg", "--steps", 4, "--seed", 1, "--set",
        "strength=0.3", "--set", "dtype=bf16",
    )  # fmt: skip
    assert code == 0
    found = read_parameters(Path("generated/00001.png"))
    assert (found["strength"], found["dtype"]) == (0.3, "bfloat16")


def test_ctrl_c_keeps_what_is_finished(run: Run, released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    start = generating._start

    def interrupted(*given: Any) -> Any:
        begun.append(1)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return start(*given)

    monkeypatch.setattr(generating, "_start", interrupted)
    code, out, err = run("generate", "x", "--model", released, "--number", 5, "--steps", 1, "--json")
    assert code == 130
    assert "stopped: 2 of 5 pictures are finished, in generated" in err
    assert [row["file"] for row in json.loads(out)["pictures"]] == ["generated/00001.png", "generated/00002.png"]
    assert json.loads(out)["complete"] is False


@pytest.mark.slow
def test_a_real_ctrl_c(released: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "altclip", "generate", "x", "--model", str(released), "--number", "500"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*command, "--steps", "5"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            next(process.stdout)
            next(process.stdout)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
            said = process.stderr.read()
        finally:
            process.kill()
    files = sorted((tmp_path / "generated").iterdir())
    assert f"stopped: {len(files)} of 500 pictures" in said
    assert "Traceback" not in said
    assert len(files) >= 2
    assert all(read_parameters(file)["steps"] == 5 for file in files)  # no half-written one among them


def test_a_file_that_appears_meanwhile_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when two of these commands draw into one folder."""
    picture = Picture(Image.new("RGB", (8, 8)), {"prompt": "x", "width": 8, "height": 8})
    (tmp_path / "00001.png").write_text("of another")
    numbers = iter([1, 2])
    monkeypatch.setattr(command, "_next_number", lambda _folder: next(numbers))
    assert command._saved(picture, tmp_path) == tmp_path / "00002.png"
    assert (tmp_path / "00001.png").read_text() == "of another"
    assert read_parameters(tmp_path / "00002.png")["prompt"] == "x"


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Path:
        raise UsageError("no room")

    monkeypatch.setattr(Picture, "save", full)
    with pytest.raises(UsageError, match="no room"):
        command._saved(Picture(Image.new("RGB", (8, 8)), {}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_withheld_picture_is_named(run: Run, checked: Path) -> None:
    code, out, err = run("generate", "x", "--model", checked, "--steps", 1, "--json")
    assert code == 0
    assert "safety checker withheld it" in err
    assert json.loads(out)["pictures"][0]["withheld"] is True
    assert not np.asarray(Image.open("generated/00001.png")).any()


def test_a_long_prompt_is_cut_with_a_note(run: Run, released: Path) -> None:
    code, _, err = run("generate", "the cat " * 1000 + "ends", "--model", released, "--steps", 1)
    assert code == 0
    assert "tokens, the model reads 77; left out is: " in err
    assert "[...]" in err
    assert err.rstrip().endswith("ends")


WRONG = {
    "no prompt": ([], "no prompts"),
    "empty": ([""], "prompt 1 of 1 is empty"),
    "size": (["x", "--size", "500x512"], "width = 500: no multiple of 8; the nearest is 496 or 504"),
    "no size": (["x", "--size", "large"], "--size large: expected WIDTHxHEIGHT"),
    "seed": (["x", "--seed", "-1"], "seed = -1"),
    "large seed": (["x", "--seed", str(2**32)], "less than or equal to 4294967295"),
    "sampler": (["x", "--set", "sampler=dimm"], "did you mean `ddim`"),
    "setting": (["x", "--set", "guidence=3"], "did you mean `guidance`"),
    "no setting": (["x", "--set", "guidance"], "expected NAME=VALUE"),
    "grid": (["x", "--set", "grid=perhaps"], "expected true or false"),
    "output": (["x", "--output", "file/below"], "--output file/below: cannot be made"),
    "dtype": (["x", "--set", "dtype=int3"], "dtype 'int3'"),
    "steps twice": (["x", "--set", "steps=5"], "--set steps=5: no such setting; --steps says it"),
    "negative": (["x", "--set", "negative_prompt=y"], "--negative says it"),
    "prompt": (["x", "--set", "prompt=y"], "expected one of sampler, guidance, strength, eta, batch, dtype, grid"),
    "width": (["x", "--set", "width=80"], "--set width=80: no such setting; --size says it"),
    "strength": (["x", "--image", "file", "--steps", "1"], "strength 0.8 of 1 step(s) leaves none to draw"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG.keys())
def test_wrong_usage_is_said_at_once(
    run: Run,
    released: Path,
    arguments: list[str],
    words: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = run("generate", *arguments, "--model", released)
    assert (code, out) == (2, "")
    assert words in err


def test_models_that_cannot_draw(run: Run, folder: Path) -> None:
    code, _, err = run("generate", "x", "--model", "mini")
    assert code == 1
    assert "a model without what draws" in err
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"_class_name": "StableDiffusionPipeline", "text_encoder": ["transformers", "CLIPTextModel"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "text_encoder" / "config.json").write_text('{"model_type": "clip_text_model"}')
    code, _, err = run("generate", "x", "--model", folder)
    assert code == 1
    assert "is a plain Stable Diffusion" in err
    shutil.rmtree(folder / "unet")
    assert run("generate", "x", "--model", folder).code == 1


def test_a_missing_part(run: Run, folder: Path) -> None:
    shutil.rmtree(folder / "vae")
    code, _, err = run("generate", "x", "--model", folder)
    assert code == 1
    assert "lacks vae" in err


def test_without_the_extra(run: Run, released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "diffusers" else real(name))
    code, _, err = run("generate", "x", "--model", released)
    assert code == 1
    assert "pip install 'altclip[diffusion]'" in err
    assert not Path("generated").exists()
