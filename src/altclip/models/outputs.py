"""What a model's forward returns: one object with attribute, key and index access, as the model cards use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class ModelOutput(dict[str, Any]):
    """Named results in order. `None` results are absent from keys and indices, and None as attributes.

    The access rules are those of transformers' class of this name, so code of the model cards runs unchanged.
    """

    def __init__(self, results: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **named: Any) -> None:
        """From pairs too: so accelerate and DataParallel make it anew."""
        named = {**dict(results), **named}
        super().__init__({name: value for name, value in named.items() if value is not None})
        self._names = frozenset(named)

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return dict.__getitem__(self, name)
        if not name.startswith("_") and name in self._names:
            return None
        raise AttributeError(f"no result '{name}': there are {', '.join(self)}")

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def to_tuple(self) -> tuple[Any, ...]:
        """The results that are present, in order."""
        return tuple(self.values())
