"""The answers of the embedding server: each method takes a form and gives a form, and knows nothing of HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections import OrderedDict
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from altclip.encoder.labels import probabilities, ranked
from altclip.engines import Features
from altclip.errors import UsageError
from altclip.languages import LANGUAGES
from altclip.metrics import class_embeddings
from altclip.prompts import check_labels, prompts_for, templates
from altclip.serve import forms
from altclip.serve.contents import Content, contents, image
from altclip.serve.model import Model
from altclip.serve.refusals import Refusal

_KEPT_ROWS: Final = 20_000  # of labels; with 768 numbers 60 MB
LabelSet: TypeAlias = bytes  # SHA-256 of labels, templates and language, which may be long themselves


class Answers:
    """What is asked of the model."""

    def __init__(self, model: Model) -> None:
        self._model, self._settings, self._encoder = model, model.settings, model.encoder
        self.name = self._settings.name or Path(self._encoder.name).name or "altclip"
        self._created = int(time.time())
        self._labels: OrderedDict[LabelSet, Features] = OrderedDict()

    def card(self, name: str) -> forms.ModelCard:
        """The model by its name. Raises Refusal for another."""
        self._check_name(name)
        languages = self._encoder.languages
        return forms.ModelCard(
            id=self.name, created=self._created, dim=self._encoder.dim, languages=list(languages) if languages else None
        )

    async def embeddings(self, form: forms.EmbeddingForm) -> forms.Embeddings:
        """Embeddings of texts and images."""
        self._check_name(form.model)
        dim = self._encoder.dim
        if form.dimensions not in (None, dim):
            message = f"this model's embeddings have {dim} dimensions and cannot be shortened: leave `dimensions` out"
            raise Refusal(400, message, code="unsupported_dimensions", param="dimensions")
        found = await self._model.embed(contents(form.input, self._settings))
        as_text = form.encoding_format == "base64"
        data = [
            forms.Embedding(index=place, embedding=_base64(row) if as_text else row.tolist())
            for place, row in enumerate(found.rows)
        ]
        usage = forms.Usage(prompt_tokens=found.tokens, total_tokens=found.tokens)
        return forms.Embeddings(data=data, model=self.name, usage=usage)

    async def classify(self, form: forms.ClassifyForm) -> forms.Classified:
        """The labels with their probabilities, as `Encoder.classify` gives them."""
        pictures = self._images(form.images)
        label_rows = await self._label_rows(form)
        image_rows = (await self._model.embed(pictures, "images")).rows
        chances = probabilities(image_rows @ label_rows.T, self._encoder.logit_scale)
        results = [
            [forms.Chance(label=label, probability=chance) for label, chance in ranked(form.labels, row, form.top_k)]
            for row in chances
        ]
        return forms.Classified(model=self.name, results=results)

    async def similarity(self, form: forms.SimilarityForm) -> forms.Similarities:
        """Cosines of images and texts."""
        texts = contents(form.texts, self._settings, "texts")
        if not all(isinstance(text, str) for text in texts):
            raise Refusal(400, "texts: an image stands among them", code="invalid_text", param="texts")
        pictures = self._images(form.images)
        image_rows = (await self._model.embed(pictures, "images")).rows
        text_rows = (await self._model.embed(texts, "texts")).rows
        return forms.Similarities(model=self.name, cosines=(image_rows @ text_rows.T).tolist())

    def _check_name(self, name: str) -> None:
        if name != self.name:
            message = f"there is no such model here: this server has {self.name}"
            raise Refusal(404, message, code="model_not_found", param="model")

    def _images(self, uris: list[str]) -> list[Content]:
        if len(uris) > self._settings.max_items:
            message = f"images has {len(uris)} entries; this server takes {self._settings.max_items} in a request"
            raise Refusal(400, message, code="too_many_inputs", param="images")
        return [image(uri, self._settings, f"images[{place}]") for place, uri in enumerate(uris)]

    async def _label_rows(self, form: forms.ClassifyForm) -> Features:
        """Embeddings of the labels (labels, dim), as `Encoder.encode_labels` has them, kept for the next time."""
        contents(form.labels, self._settings, "labels")
        asked = json.dumps([form.labels, form.templates, form.language])
        key: LabelSet = hashlib.sha256(asked.encode("ascii")).digest()
        if key in self._labels:
            self._labels.move_to_end(key)
            return self._labels[key]
        prompts = self._prompts(form)
        flat: list[Content] = [prompt for of_label in prompts for prompt in of_label]
        rows = class_embeddings((await self._model.embed(flat, "labels")).rows, [len(of) for of in prompts])
        self._labels[key] = rows
        while sum(map(len, self._labels.values())) > _KEPT_ROWS:
            self._labels.popitem(last=False)
        return rows

    def _prompts(self, form: forms.ClassifyForm) -> list[list[str]]:
        own = form.templates if isinstance(form.templates, list) else []
        most, longest = self._settings.max_prompts, self._settings.max_characters
        if any(len(template) > longest for template in own):
            message = f"a template is over {longest} characters, the most that this server takes in a text"
            raise Refusal(400, message, code="text_too_long", param="templates")
        copies = len(own) or (1 if form.templates is None else _most_templates())
        letters = sum(map(len, own)) * len(form.labels) + sum(map(len, form.labels)) * copies
        if len(own) * len(form.labels) <= most and letters <= self._settings.max_body:
            try:
                check_labels(form.labels)
                prompts = prompts_for(form.labels, templates=form.templates, language=form.language)
            except UsageError as error:
                raise Refusal(400, str(error), code="invalid_labels", param="labels") from None
            if sum(map(len, prompts)) <= most:
                return prompts
        message = f"labels times templates are over {most}, the most that this server takes, or too long together"
        raise Refusal(400, message, code="too_many_inputs", param="labels")


def _most_templates() -> int:
    """Of the package's own, in the language that has most."""
    return max(len(templates(language)) for language in LANGUAGES)


def _base64(row: Features) -> str:
    return base64.b64encode(row.astype(np.dtype("<f4")).tobytes()).decode("ascii")
