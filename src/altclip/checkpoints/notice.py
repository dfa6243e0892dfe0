"""Licences whose restrictions of use pass on to all who get the weights: said once when such a model is opened."""

from __future__ import annotations

import warnings
from typing import Final

from altclip.checkpoints.card import Card

_SAID: Final[set[tuple[type[UserWarning], str]]] = set()  # Python's own record is lost with every `catch_warnings`


class LicenceNotice(UserWarning):
    """What a model's licence asks of its users. Each is shown once; `warnings.filterwarnings` silences the kind."""


def say_once(text: str, kind: type[UserWarning]) -> None:
    """Warn, but not of the same again in this process."""
    if (kind, text) in _SAID:
        return
    warnings.warn(text, kind, stacklevel=1)
    _SAID.add((kind, text))  # not where a filter has made an error of it


def show_duties(name: str, card: Card) -> None:
    """Warn with a LicenceNotice if the model is under an OpenRAIL licence; other licences lay down no such duty."""
    if card.licence is None or "openrail" not in card.licence.lower():
        return
    say_once(
        f"{name} is under {card.licence}: its restrictions of use hold for you, and pass on with the weights and with "
        "models made from them (https://huggingface.co/spaces/CompVis/stable-diffusion-license)",
        LicenceNotice,
    )
