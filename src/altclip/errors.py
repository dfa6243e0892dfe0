"""Every error a user can meet, as one tree.

    AltclipError
    ├── UsageError            an argument is wrong                     (also ValueError)
    ├── MissingExtraError     an optional library is not installed     (also ImportError)
    ├── InputError            one image or text cannot be used
    │   └── ImageError
    ├── CheckpointError       a model cannot be read or written
    │   ├── LayoutError       no known layout fits the files
    │   ├── WeightsError      tensors missing, unexpected, misshapen or not finite
    │   ├── UnsafeFileError   a pickle that carries code
    │   └── HubError          a repository cannot be reached or may not be read
    ├── ConfigError           a recipe or `--set` has mistakes (all of them listed)
    ├── DataError             a data set is missing, damaged or too bad to go on
    └── SearchError           an index is missing, damaged, locked or of another model

Each message says what was found, what was expected, and the next step.
"""

from __future__ import annotations

from collections.abc import Sequence


class AltclipError(Exception):
    """Base of all errors raised on purpose; survives pickling, as worker processes need."""

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, vars(self))


def _rebuild(kind: type[AltclipError], arguments: tuple[object, ...], state: dict[str, object]) -> AltclipError:
    """An error as it was; its `__init__` takes other arguments than the finished message, and is left out."""
    error = kind.__new__(kind, *arguments)
    vars(error).update(state)
    return error


class UsageError(AltclipError, ValueError):
    """An argument of a call or an option of a command is wrong."""


class MissingExtraError(AltclipError, ImportError):
    """An optional library is absent; names the extra that brings it."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"this needs the library '{library}': pip install 'altclip[{extra}]'")
        self.library, self.extra = library, extra


class InputError(AltclipError, ValueError):
    """One image or text of many cannot be used."""


class ImageError(InputError):
    """An image cannot be opened; `source` names it, `reason` says why."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source, self.reason = source, reason


class CheckpointError(AltclipError):
    """A model cannot be read or written."""


class LayoutError(CheckpointError):
    """No known layout fits the files found."""


class WeightsError(CheckpointError):
    """The tensors of a checkpoint do not fit the model."""


class UnsafeFileError(CheckpointError):
    """A file would have to run code to be read, and is refused."""


class HubError(CheckpointError):
    """A repository cannot be reached, does not exist, or may not be read yet."""


class DataError(AltclipError):
    """A data set is missing, damaged, or has too many bad samples to go on."""


class SearchError(AltclipError):
    """A search index cannot be opened, read or written; what was in it is as it was."""


class ConfigError(AltclipError, ValueError):
    """A configuration has mistakes; `problems` lists every one."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(["the configuration has mistakes:", *(f"  - {p}" for p in problems)]))
        self.problems = list(problems)
