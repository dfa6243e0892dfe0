"""What a server may be told: each setting with its default, from a TOML file, the environment and the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from altclip.errors import ConfigError
from altclip.mistakes import problems_of

PREFIX: Final = "ALTCLIP_SERVE_"


def _listed(value: Any) -> Any:
    """`a.example, b.example` of the environment as the list that it stands for."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseModel):
    """How the server listens, whom it lets in, and where its limits are. Sizes are in bytes, times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="address to listen on; another than loopback needs keys")
    port: int = Field(default=8000, ge=0, le=65535, description="0 takes a free one")
    name: str = Field(default="", description="what clients call the model; empty for the name it was opened by")
    index: Path | None = Field(default=None, description="folder of the index that /search asks")
    keys: Path | None = Field(default=None, description="file with the hashes of API keys")
    without_keys: bool = Field(default=False, description="listen beyond loopback and let everybody in")
    hosts: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        default=(), description="names that clients may call the server by, beside loopback; empty with keys for any"
    )
    proxies: str = Field(default="", description="addresses whose X-Forwarded-For is believed, as uvicorn takes them")
    workers: Count = Field(default=1, description="processes that share the port, each with a model of its own")

    max_body: Count = Field(default=32 * 2**20, description="of a request")
    max_pixels: Count = Field(default=64_000_000, description="of an image")
    max_items: Count = Field(default=1024, description="texts and images of a request")
    max_characters: Count = Field(default=8192, description="of a text")
    max_prompts: Count = Field(default=20_000, description="of a classification: labels times templates")
    connections: Count = Field(default=512, description="requests at once; more are answered 503")

    fetch: bool = Field(default=False, description="take http(s) addresses of images, and fetch public ones")
    fetch_items: Count = Field(default=16, description="addresses of a request")
    fetch_timeout: Seconds = Field(default=10.0, description="until an address is given up")

    generate: str = Field(default="", description="folder or hub id of an AltDiffusion that draws; empty for none")
    generate_number: Count = Field(default=4, description="pictures of a request")
    generate_steps: Count = Field(default=50, description="of a picture")
    generate_side: Count = Field(default=768, description="pixels of a picture's longer side")
    generate_queue: Count = Field(default=8, description="requests for pictures that wait; more are answered 429")
    generate_timeout: Seconds = Field(default=600.0, description="until a request for pictures is given up with 504")

    batch: Count = Field(default=64, description="texts or images given to the model at once")
    gather: float = Field(
        default=0.004, ge=0, le=1, description="how long an idle model waits for others to join a batch"
    )
    queue: Count = Field(default=2048, description="texts or images that wait; more are answered 429")
    timeout: Seconds = Field(default=60.0, description="until a request is given up with 504")
    body_timeout: Seconds = Field(default=30.0, description="until a body has come")
    stuck: Seconds = Field(
        default=120.0, description="how long a batch may take before /healthz calls the worker stuck"
    )
    shutdown: Seconds = Field(default=30.0, description="how long what was taken may take to finish at the end")
    rate: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="requests a minute for each key or address; 0: any"
    )
    burst: Count = Field(default=60, description="requests that may come at once under `rate`")


def load_settings(file: Path | None = None, environment: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """Settings of a file (table `[serve]`), over them `ALTCLIP_SERVE_*` of the environment, over these `given`.

    Values of `given` that are None count as not given.

    Raises:
        ConfigError: with every mistake.
    """
    values = _of_file(file) if file is not None else {}
    known = Settings.model_fields
    for name, value in (environment or {}).items():
        if name.startswith(PREFIX):
            values[name.removeprefix(PREFIX).lower()] = value
    values |= {name: value for name, value in given.items() if value is not None}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems = problems_of(error, Settings, "the settings")
        hint = f"environment variables are {PREFIX} and one of: {', '.join(known).upper()}"
        raise ConfigError([*problems, *([hint] if _unknown(environment or {}) else [])]) from error


def _unknown(environment: Mapping[str, str]) -> bool:
    names = {name.removeprefix(PREFIX).lower() for name in environment if name.startswith(PREFIX)}
    return bool(names - set(Settings.model_fields))


def _of_file(file: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"{file} cannot be read: {error}"]) from error
    table = content.get("serve")
    others = sorted(set(content) - {"serve"})
    if not isinstance(table, dict) or others:
        found = f"it also has {others[0]}" if others else "it has none"
        raise ConfigError([f"{file}: expected one table [serve] with settings; {found}"])
    return dict(table)
