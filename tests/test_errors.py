"""The error tree: its shape, what each error is besides ours, and what messages carry."""

from __future__ import annotations

import inspect
import pickle

import pytest

from altclip import errors

TREE = {
    "AltclipError": (Exception,),
    "UsageError": (errors.AltclipError, ValueError),
    "MissingExtraError": (errors.AltclipError, ImportError),
    "InputError": (errors.AltclipError, ValueError),
    "ImageError": (errors.InputError,),
    "CheckpointError": (errors.AltclipError,),
    "LayoutError": (errors.CheckpointError,),
    "WeightsError": (errors.CheckpointError,),
    "UnsafeFileError": (errors.CheckpointError,),
    "HubError": (errors.CheckpointError,),
    "DataError": (errors.AltclipError,),
    "SearchError": (errors.AltclipError,),
    "ConfigError": (errors.AltclipError, ValueError),
}
CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and value.__module__ == errors.__name__
}


def test_the_tree_is_this_one() -> None:
    assert {name: kind.__bases__ for name, kind in CLASSES.items()} == TREE


@pytest.mark.parametrize("name", TREE)
def test_every_error_is_drawn_and_explained(name: str) -> None:
    assert errors.__doc__ is not None
    assert name in errors.__doc__
    assert (CLASSES[name].__doc__ or "").endswith(".") or name == "ImageError"


def test_a_missing_extra_names_the_library_and_the_way_to_get_it() -> None:
    error = errors.MissingExtraError("datasets", "train")
    assert (error.library, error.extra) == ("datasets", "train")
    assert "'datasets'" in str(error)
    assert "pip install 'altclip[train]'" in str(error)


def test_an_image_error_names_the_file_and_the_reason() -> None:
    error = errors.ImageError("写真.jpg", "truncated")
    assert (error.source, error.reason, str(error)) == ("写真.jpg", "truncated", "写真.jpg: truncated")


def test_a_config_error_lists_every_problem_on_a_line_of_its_own() -> None:
    error = errors.ConfigError(("a: too small", "b: unknown"))
    assert error.problems == ["a: too small", "b: unknown"]
    assert str(error).splitlines()[1:] == ["  - a: too small", "  - b: unknown"]


def test_callers_may_catch_the_usual_kinds() -> None:
    with pytest.raises(ValueError, match="x"):
        raise errors.UsageError("x")
    with pytest.raises(ImportError):
        raise errors.MissingExtraError("peft", "lora")
    with pytest.raises(errors.CheckpointError):
        raise errors.UnsafeFileError("x")


@pytest.mark.parametrize(
    "error",
    [
        errors.UsageError("x"),
        errors.ImageError("a.png", "empty"),
        errors.MissingExtraError("peft", "lora"),
        errors.ConfigError(["a", "b"]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_the_way_out_of_a_worker_process(error: errors.AltclipError) -> None:
    """Data loaders and process pools pickle what their workers raise."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
