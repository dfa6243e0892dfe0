"""Templates and label sets in nine languages, and the prompts made of them.

One JSON a language holds them (`en.json` ... `it.json`). A template takes a label in its citation form: nothing in it
asks for a case, an article, a gender or a construct state. A label set has the same ids in the same order everywhere.
"""

from __future__ import annotations

from altclip.prompts.catalogue import NEUTRAL, label_set, label_sets, templates
from altclip.prompts.filling import fill, prompts_for
from altclip.prompts.labels import check_labels, split_labels

__all__ = ["NEUTRAL", "check_labels", "fill", "label_set", "label_sets", "prompts_for", "split_labels", "templates"]
