"""`altclip info`: what a model is, what it can do, under which licence, and how it would run here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from altclip.cli.opening import DEVICE, device_name, engine_name, precision_name
from altclip.cli.output import escape, print_json, results

if TYPE_CHECKING:
    from altclip.encoder.description import Description

EXAMPLE: Final = "altclip info BAAI/AltCLIP-m9"


def command(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="A folder, a preset, or a hub id.")] = "mini",
    engines: Annotated[bool, typer.Option("--engines", help="Tell of every engine whether it can run here.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Tell what a model is, what it can do, and under which licence.

    Weights are listed, not loaded, and those of a hub model are not fetched.
    """
    from altclip.encoder import describe

    description = describe(model)
    running = _running(description.parameters.get("all", 0))
    if engines:
        from altclip.engines import known_engines

        running["engines"] = known_engines()
    if as_json:
        print_json({**description.to_dict(), "running": running})
        return
    _show(description, running)


def _running(parameters: int) -> dict[str, Any]:
    """Device, number format and engine that an Encoder would take here, with the reasons."""
    from altclip.device import available_devices
    from altclip.engines import check_choices, computes_in, dtype_for, pick, pick_place

    engine, precision = engine_name(), precision_name()
    check_choices(engine, precision)
    device = pick_place(device_name(), engine, precision)
    reason = f"{DEVICE} asks for it" if device_name() != "auto" else f"the best of {', '.join(available_devices())}"
    dtype = dtype_for("auto", precision, device)
    name, why = pick(engine, device, dtype, parameters, precision=precision)
    format_ = computes_in(name, device, dtype, parameters, precision)
    return {"device": str(device), "device_reason": reason, "dtype": format_, "engine_reason": why}


def _show(description: Description, running: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(title=escape(description.model), title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _rows(description, running):
        table.add_row(name, "\n".join(map(escape, [value] if isinstance(value, str) else value)))
    results().print(table)


def _rows(description: Description, running: Mapping[str, Any]) -> Iterator[tuple[str, str | Sequence[str]]]:
    config = description.config or {}
    yield "family", description.family or "not known"
    yield "languages", " ".join(description.languages or ()) or "its files do not say"
    yield "licence", _licence(description)
    yield from _sizes(config)
    if description.filled:
        yield "not in its files", [f"{key}: {value}, as in the family" for key, value in description.filled.items()]
    if description.parameters:
        counts = description.parameters
        yield "parameters", f"{counts['all']:,} (image tower {counts['image']:,}, text tower {counts['text']:,})"
    for name, head in config.get("heads", {}).items():
        yield f"head {name}", ", ".join(_reading(head))
    yield "folder", description.folder or "not on this machine"
    yield "weights", ", ".join(description.formats) if description.weights_here else "fetched at the first use"
    yield "files", [f"{name} ({size:,} bytes)" for name, size in description.files.items()]
    yield "runs on", f"{running['device']} in {running['dtype']}: {running['device_reason']}"
    yield "engine", running["engine_reason"]
    for name, told in running.get("engines", {}).items():
        yield f"engine {name}", told


def _reading(head: Mapping[str, Any]) -> Iterator[str]:
    """What a head does, in the words of its row of data; what it does not do is left out."""
    for key, value in head.items():
        if key == "masked":
            yield from [] if value else ["padding counts"]
        elif value:
            yield key if value is True else f"{key} {value}"


def _licence(description: Description) -> str:
    files = f"see {', '.join(description.licence_files)}" if description.licence_files else ""
    return ", ".join(filter(None, [description.licence, files])) or "its files do not say; look at its page"


def _sizes(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    from altclip.models import TextConfig

    if vision := config.get("vision"):
        side, patch = vision["image_size"], vision["patch_size"]
        yield "image tower", f"{_tower(vision)}, images of {side}x{side} in patches of {patch}x{patch}"
    if text := config.get("text"):
        longest = TextConfig.from_dict(text).max_length
        words = f"vocabulary of {text['vocab_size']:,}, texts of up to {longest} tokens"
        yield "text tower", f"{text['architecture']}, {_tower(text)}, {words}"
    if config.get("vision") and config.get("text"):
        yield "embeddings", f"{config['projection_dim']} numbers"


def _tower(sizes: Mapping[str, Any]) -> str:
    layers, heads = sizes["num_hidden_layers"], sizes["num_attention_heads"]
    return f"width {sizes['hidden_size']}, {layers} layers, {heads} attention heads"
