"""The user's object: images and texts as vectors of one space, compared, and images told apart by labels."""

from altclip.encoder.description import describe
from altclip.encoder.encoder import Encoder
from altclip.encoder.labels import Prediction

__all__ = ["Encoder", "Prediction", "describe"]
