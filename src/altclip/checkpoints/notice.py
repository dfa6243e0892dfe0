"""Licences whose restrictions of use pass on to all who get the weights: said once when such a model is opened."""

from __future__ import annotations

import warnings

from altclip.checkpoints.card import Card


class LicenceNotice(UserWarning):
    """What a model's licence asks of its users. Python shows each once; `warnings.filterwarnings` silences the kind."""


def show_duties(name: str, card: Card) -> None:
    """Warn with a LicenceNotice if the model is under an OpenRAIL licence; other licences lay down no such duty."""
    if card.licence is None or "openrail" not in card.licence.lower():
        return
    warnings.warn(
        f"{name} is under {card.licence}: its restrictions of use hold for you, and pass on with the weights and with "
        "models made from them (https://huggingface.co/spaces/CompVis/stable-diffusion-license)",
        LicenceNotice,
        stacklevel=1,  # one place for all, so that Python shows each text once
    )
