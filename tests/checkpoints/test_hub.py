"""From a name to a folder: folders, presets, hub ids; and what is said when the hub cannot or will not answer.

The hub is one on this machine, so huggingface_hub's own requests, cache and errors are at work.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from altclip import AltCLIPConfig, AltCLIPModel
from altclip.checkpoints import HubOptions, load_model, resolve
from altclip.checkpoints import hub as hub_module
from altclip.checkpoints.hub import REPOSITORIES
from altclip.checkpoints.hub_errors import explained
from altclip.errors import CheckpointError, HubError, UsageError
from altclip.models import PRESETS
from tests.checkpoints.fake_hub import COMMIT, FakeHub, serving

SMALL = {"config.json": b'{"model_type": "altclip"}', "tokenizer.json": b"{}", "README.md": b"a card"}
REPOSITORIES_THERE = {
    "owner/both": {
        **SMALL, "model.safetensors": b"new", "pytorch_model.bin": b"old", "unet/model.safetensors": b"other",
        "vocab.txt": b"a",
    },
    "owner/pickles": {**SMALL, "pytorch_model.bin": b"old", "training_args.bin": b"stray"},
    "owner/shards": {**SMALL, "model.safetensors.index.json": b"{}", "model-00001-of-00002.safetensors": b"1",
                     "model-00002-of-00002.safetensors": b"2", "pytorch_model-00001-of-00001.bin": b"old"},
    "owner/none": SMALL,
}  # fmt: skip
REFUSALS = {
    "owner/gated": (403, "GatedRepo"),
    "owner/gated-unknown": (401, "GatedRepo"),
    "owner/forbidden": (403, ""),
    "owner/private": (401, ""),
    "owner/disabled": (403, "DisabledRepo"),
    "owner/down": (503, ""),
    "owner/busy": (429, ""),
}


@pytest.fixture(scope="module")
def server() -> Iterator[FakeHub]:
    with serving(REPOSITORIES_THERE, REFUSALS) as hub:
        yield hub


@pytest.fixture
def online(server: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeHub:
    """The hub of this machine is the hub, and the cache is empty."""
    point_to(server.url, monkeypatch, tmp_path)
    server.requests.clear()
    server.tokens.clear()
    return server


def point_to(url: str, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_an_existing_folder_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(tmp_path) == resolve(str(tmp_path)) == tmp_path
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mini").mkdir()
    assert resolve("mini") == Path("mini")  # a folder comes before a preset of its name
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/mini") == tmp_path / "mini"


def test_the_bundled_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "files", lambda package: tmp_path / package)
    with pytest.raises(CheckpointError, match="not in this installation.*reinstall"):
        resolve("mini")
    (tmp_path / "altclip" / "assets" / "mini").mkdir(parents=True)
    assert resolve("mini") == tmp_path / "altclip" / "assets" / "mini"


def test_the_bundled_model_that_draws_is_none_of_embeddings() -> None:
    with pytest.raises(CheckpointError, match=r"mini-diffusion is the bundled model that draws: `altclip generate`"):
        resolve("mini-diffusion")


def test_presets_have_repositories(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(repository: str, **_: object) -> Path:
        asked.append(repository)
        return Path()

    monkeypatch.setattr(hub_module, "_fetch", fetch)
    for name, repository in REPOSITORIES.items():
        assert name in PRESETS
        resolve(name)
        assert asked[-1] == repository
    with pytest.raises(UsageError, match="'mini-teacher' has no released weights"):
        resolve("mini-teacher")


@pytest.mark.parametrize(
    "name", ["./absent", "../absent", "~/absent/model", "/absent/model", "a/b/c", "owner/", "a\\b", ""]
)
def test_a_path_that_is_no_folder(name: str) -> None:
    with pytest.raises(CheckpointError, match="no folder here"):
        resolve(name)
    with pytest.raises(CheckpointError, match="no folder here"):
        resolve(Path("absent/model"))  # a Path is never a hub id


def test_a_file_instead_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is a file: give the folder it is in"):
        resolve(tmp_path / "model.safetensors")


def test_a_name_that_no_repository_can_have(online: FakeHub) -> None:
    with pytest.raises(UsageError, match="'my cat/model' is neither a folder here nor a hub id: expected owner/name"):
        resolve("my cat/model")


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("owner/both", ["README.md", "config.json", "model.safetensors", "tokenizer.json", "vocab.txt"]),
        ("owner/pickles", ["README.md", "config.json", "pytorch_model.bin", "tokenizer.json"]),
        (
            "owner/shards",
            [
                "README.md",
                "config.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
                "tokenizer.json",
            ],
        ),
    ],
)
def test_only_what_is_needed_is_fetched(online: FakeHub, repository: str, expected: list[str]) -> None:
    folder = resolve(repository)
    assert files(folder) == expected
    assert folder.name == COMMIT
    assert not any("unet" in path for path in online.requests)
    asked = len(online.requests)
    assert resolve(repository, local_files_only=True) == folder
    assert len(online.requests) == asked


def test_small_files_alone(online: FakeHub) -> None:
    assert files(resolve("owner/both", weights=False)) == ["README.md", "config.json", "tokenizer.json", "vocab.txt"]
    assert AltCLIPConfig.from_pretrained("owner/both").projection_dim == 768
    assert not any("safetensors" in path for path in online.requests)


def test_a_cache_of_ones_own(online: FakeHub, tmp_path: Path) -> None:
    assert resolve("owner/both", cache_dir=tmp_path / "own").is_relative_to(tmp_path / "own")


@pytest.mark.parametrize("revision", ["v1", COMMIT])
def test_a_revision(online: FakeHub, revision: str) -> None:
    assert files(resolve("owner/both", revision=revision))
    with pytest.raises(HubError, match=r"owner/both has no revision 'v9': http://.*/owner/both/tree/main"):
        resolve("owner/both", revision="v9")


TOKENS: list[HubOptions] = [{"token": "hf_secret"}, {"use_auth_token": "hf_secret"}]


@pytest.mark.parametrize("given", TOKENS)
def test_a_token(online: FakeHub, given: HubOptions) -> None:
    resolve("owner/both", **given)
    assert "Bearer hf_secret" in online.tokens
    online.tokens.clear()
    resolve("owner/pickles", token=False)
    assert online.tokens == {"none"}


@pytest.mark.parametrize(
    ("repository", "message"),
    [
        (
            "owner/gated",
            r"gated.*open http://.*/owner/gated, log in, accept its licence.*`hf auth login` or pass token=",
        ),
        ("owner/gated-unknown", r"gated.*accept its licence"),
        ("owner/forbidden", r"gated or forbidden.*accept its licence"),
        ("owner/private", r"was not found.*check the spelling; if it is private, log in"),
        ("owner/absent", r"owner/absent was not found at http://127.*check the spelling"),
        ("owner/down", r"answered 503 for owner/down: try again later"),
        ("owner/busy", r"answered 429"),
        ("owner/none", r"no weights of owner/none.*has README.md, config.json, tokenizer.json\): expected"),
    ],
)
def test_refusals(online: FakeHub, repository: str, message: str) -> None:
    with pytest.raises(HubError, match=message) as raised:
        load_model(repository, token="hf_secret")
    assert "hf_secret" not in str(raised.value)


def test_no_network_and_nothing_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with serving({}) as gone:
        url = gone.url
    point_to(url, monkeypatch, tmp_path)
    with pytest.raises(HubError) as raised:
        AltCLIPModel.from_pretrained("BAAI/AltCLIP-m9")
    message = str(raised.value)
    assert f"{url} cannot be reached" in message
    assert f"The cache {tmp_path} holds nothing of it" in message
    assert "`hf download BAAI/AltCLIP-m9`" in message
    assert "HF_ENDPOINT" in message


def test_no_network_and_the_model_in_the_cache(
    online: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = resolve("owner/both")
    with serving({}) as gone:
        url = gone.url
    point_to(url, monkeypatch, tmp_path)
    assert resolve("owner/both") == folder
    with pytest.raises(HubError, match=r"The cache .* holds main: README.md, config.json, model.safetensors"):
        resolve("owner/both", revision="v2")


def test_no_network_and_a_part_of_the_model_in_the_cache(
    online: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As after AltCLIPProcessor.from_pretrained: the small files are there, the weights are not."""
    resolve("owner/both", weights=False)
    with serving({}) as gone:
        url = gone.url
    point_to(url, monkeypatch, tmp_path)
    assert resolve("owner/both", weights=False)
    with pytest.raises(HubError, match=r"holds main: README.md, config.json, tokenizer.json.*hf download owner/both"):
        load_model("owner/both")


def test_local_files_only_says_so(online: FakeHub) -> None:
    with pytest.raises(HubError, match=r"local_files_only=True forbids the network. The cache .* holds nothing of it"):
        resolve("owner/both", local_files_only=True)
    assert online.requests == []


def test_offline_mode_says_so(online: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE=1 forbids the network"):
        resolve("owner/both")
    assert online.requests == []


def test_a_cache_that_cannot_be_written(online: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HubError, match=r"owner/both could not be written to the cache .* pass cache_dir="):
        resolve("owner/both", cache_dir=tmp_path / "file" / "cache")


def test_an_error_of_the_disk_says_so() -> None:
    error = explained(OSError(28, "No space left on device"), "owner/both", None, None)
    assert "could not be written to the cache ([Errno 28] No space left on device): make room" in str(error)


def test_an_error_in_our_own_code_is_not_taken_for_the_hub_s(online: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def broken(*_: object, **__: object) -> None:
        raise TypeError("an argument is wrong")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", broken)
    with pytest.raises(TypeError, match="an argument is wrong"):
        resolve("owner/both")


def test_the_environment_chooses_a_mirror_and_forbids_the_network(server: FakeHub, tmp_path: Path) -> None:
    """Both variables are read by huggingface_hub when it is imported, so this takes a process."""
    code = (
        "from altclip.checkpoints import resolve\n"
        "from altclip.errors import HubError\n"
        "print(resolve('owner/both'))\n"
        "from huggingface_hub import constants\n"
        "constants.HF_HUB_OFFLINE = True\n"
        "print(resolve('owner/both'))\n"
    )
    environment = {**os.environ, "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    first, second = done.stdout.split()
    assert first == second
    assert files(Path(first)) == ["README.md", "config.json", "model.safetensors", "tokenizer.json", "vocab.txt"]
