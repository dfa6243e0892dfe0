"""The JSON that clients send and get: each form with its limits and an example, from which OpenAPI is made.

What is not named here is refused, so that a misspelt key is noticed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from altclip.languages import Language
from altclip.serve.contents import PICTURE

PIXEL: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4"
    "2mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
ID: Final = r"^[a-z2-7]{26}$"


class Form(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _as_list(value: Any) -> Any:
    """One text as a list of one. Clients of OpenAI may send token ids, which mean nothing to another tokenizer."""
    inner = value[0] if isinstance(value, list) and value else None
    if type(inner) is int or (isinstance(inner, list) and inner and type(inner[0]) is int):
        raise ValueError(
            "token arrays are not taken, for they are of another tokenizer: send texts (in LangChain, "
            "check_embedding_ctx_length=False)"
        )
    return [value] if isinstance(value, str) else value


def _moment(value: Any) -> datetime:
    """ISO 8601 alone: pydantic would take numbers for seconds."""
    if not isinstance(value, str):
        raise ValueError("expected a date such as 2023-05-21 or 2023-05-21T18:30:00")
    return datetime.fromisoformat(value)


def _whole(value: str) -> str:
    value.encode("utf-8")  # unpaired surrogates are no letters: UnicodeEncodeError is a ValueError
    return value


Text = Annotated[str, AfterValidator(_whole)]
# A list's first mistake is enough: each would be an error of its own, and a request may hold millions.
Texts = Annotated[list[Text], Field(min_length=1, fail_fast=True)]
Moment = Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=str)]
_PICTURE: Final = "an image as a data URI; where the server is set to fetch, also its http(s) address"
Picture = Annotated[str, Field(pattern=PICTURE, description=_PICTURE)]
Pictures = Annotated[list[Picture], Field(min_length=1, fail_fast=True)]
Name = Annotated[Text, Field(max_length=200)]


class EmbeddingForm(Form):
    """As OpenAI's API has it. A string that is a data URI of an image is embedded as the image that it holds."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "mini", "input": ["una gatta", PIXEL]}]})

    input: Annotated[Texts, BeforeValidator(_as_list, json_schema_input_type=str | Texts)]
    model: Name
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int | None, Field(ge=1, description="none but the model's own")] = None
    user: Annotated[Text | None, Field(description="has no effect")] = None


class ClassifyForm(Form):
    """Images, and the labels to choose from."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"images": [PIXEL], "labels": ["一只猫", "un chien"], "top_k": 1}]}
    )

    images: Pictures
    labels: Texts
    templates: Annotated[
        Literal["auto"] | Annotated[list[Text], Field(fail_fast=True)] | None,
        Field(description="each with one {}; null for the label alone"),
    ] = "auto"
    language: Annotated[Language | None, Field(description="of the labels; null lets their script tell")] = None
    top_k: Annotated[int | None, Field(ge=1)] = None


class SimilarityForm(Form):
    """Images and texts to be compared."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"images": [PIXEL], "texts": ["بقعة حمراء", "a dog"]}]})

    images: Pictures
    texts: Texts


class PartForm(Form):
    """One thing to look for: exactly one of text, image and id; below zero, what to be unlike."""

    text: Text | None = None
    image: Picture | None = None
    id: Annotated[str | None, Field(pattern=ID, description="a photograph of the index")] = None
    weight: Annotated[float, Field(ge=-10, le=10)] = 1.0


class WhereForm(Form):
    """What photographs must be; all that is given holds."""

    folder: Annotated[str | None, Field(pattern=r"^[0-9a-f]{12}$", description="an id that GET /index lists")] = None
    taken_from: Moment | None = None
    taken_to: Annotated[Moment | None, Field(description="before this moment")] = None
    name_contains: Name | None = None
    extra: Annotated[dict[Name, Text | int | float | bool], Field(max_length=20, description="your own metadata")] = {}


class SearchForm(Form):
    """A question to the index. Without parts and words, what `where` leaves is listed, newest first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"parts": [{"text": "пляж"}, {"text": "people", "weight": -0.5}], "limit": 20}]}
    )

    parts: Annotated[list[PartForm], Field(max_length=20)] = []
    words: Annotated[Name | None, Field(description="for captions, keywords and names of files")] = None
    where: WhereForm | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    offset: Annotated[int, Field(ge=0, le=10_000)] = 0
    group: Annotated[bool, Field(description="shots of one scene count as one")] = False


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class Failure(BaseModel):
    """An error as OpenAI's API words it."""

    error: ErrorDetail


class Embedding(BaseModel):
    """One embedding of length 1; with encoding_format base64, its little-endian float32 in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens of the texts; images have none."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    """In the order of the input."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


class ModelCard(BaseModel):
    """A model that answers. dim: length of an embedding; null of the one that draws."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "altclip"
    dim: int | None = None
    languages: list[str] | None = None


class Models(BaseModel):
    """One, or two where pictures are drawn."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class Chance(BaseModel):
    """A label and its probability among those offered."""

    label: str
    probability: float


class Classified(BaseModel):
    """One list for each image, the likeliest label first."""

    model: str
    results: list[list[Chance]]


class Labels(BaseModel):
    """A set of labels to choose from."""

    language: Language
    labels: list[str]


class Similarities(BaseModel):
    """Cosines: a row for each image, a column for each text."""

    model: str
    cosines: list[list[float]]


class Folder(BaseModel):
    """An indexed root. path: for keys that may write."""

    id: str
    name: str
    path: str | None = None


class IndexCard(BaseModel):
    """What is indexed."""

    rows: int
    model: str
    folders: list[Folder]


class Found(BaseModel):
    """A photograph. path, latitude and longitude: for keys that may write. same: other shots of its scene."""

    id: str
    score: float
    name: str
    width: int
    height: int
    taken: str | None
    text: str
    extra: dict[str, JsonValue]
    same: list[str]
    path: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class FoundPage(BaseModel):
    """Best first. total: how many were ranked, null where that is not known; exact: nothing was left out."""

    hits: list[Found]
    total: int | None
    exact: bool


class Health(BaseModel):
    """Whether the model encodes, and what is wrong if it does not."""

    status: Literal["ok", "failing"]
    problem: str | None = None
