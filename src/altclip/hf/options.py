"""The keyword arguments of `from_pretrained`, sorted: how to fetch, what to change, what is moot."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, cast

from altclip.checkpoints import HubOptions, read_settings, resolve
from altclip.errors import LayoutError, UsageError

_HUB: Final = frozenset(HubOptions.__annotations__)
# Accepted since programs pass them; they choose between ways of loading that transformers has and this library has not.
_MOOT: Final = frozenset(
    {"low_cpu_mem_usage", "trust_remote_code", "use_safetensors", "attn_implementation", "use_fast"}
)


def sort_options(options: Mapping[str, Any], fields: Collection[str]) -> tuple[HubOptions, dict[str, Any]]:
    """Split into options for the hub and changes to configuration `fields`. Raises UsageError for any other."""
    unknown = [name for name in options if name not in _HUB | _MOOT and name not in fields]
    if unknown:
        near = get_close_matches(unknown[0], [*_HUB, *fields], n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted({*_HUB, *fields}))}"
        raise UsageError(f"from_pretrained has no option '{unknown[0]}': {hint}")
    hub = {name: value for name, value in options.items() if name in _HUB}
    return cast(HubOptions, hub), {name: value for name, value in options.items() if name in fields}


def settings_of(path_or_id: str | Path, hub: HubOptions) -> dict[str, Any]:
    """The config.json of a folder or repository."""
    return read_settings(resolve(path_or_id, weights=False, **hub))


def check_model_type(settings: Mapping[str, Any], expected: Collection[str]) -> None:
    """Raises LayoutError where a configuration says that it is of another class."""
    found = settings.get("model_type")
    if found is not None and found not in expected:
        raise LayoutError(
            f"the configuration is of a '{found}' model, expected {' or '.join(expected)}: "
            "altclip.Encoder opens the other families"
        )
