"""What a model sees in photographs: the labels it would give them and the words that find them, in nine languages.

The labels offered are always the whole label set of the bundled model, so that nothing is chosen for looking good.
"""

from altclip.demo.pictures import Photograph, copy_shipped, of_user, shipped
from altclip.demo.results import Guess, Guesses, Hit, InLanguage, Results, Search
from altclip.demo.run import choose, look

__all__ = [
    "Guess", "Guesses", "Hit", "InLanguage", "Photograph", "Results", "Search", "choose", "copy_shipped", "look",
    "of_user", "shipped",
]  # fmt: skip
