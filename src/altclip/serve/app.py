"""The application: routes, their documents, and the layers around them. The one file that imports fastapi.

Annotations here are evaluated, for fastapi reads them: no `from __future__ import annotations`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

from altclip import __version__
from altclip.errors import MissingExtraError, WeightsError
from altclip.languages import Language
from altclip.prompts import label_set
from altclip.serve import forms
from altclip.serve.answers import Answers
from altclip.serve.fetching import Fetcher
from altclip.serve.gates import Admission, Bodies
from altclip.serve.keys import Caller, KeyRing
from altclip.serve.library import Library
from altclip.serve.metrics import CONTENT_TYPE, Metrics
from altclip.serve.model import Model
from altclip.serve.observing import LOGGER, Observed
from altclip.serve.pictures import Generated, PictureForm, Pictures
from altclip.serve.refusals import Refusal, encoded
from altclip.serve.settings import Settings
from altclip.serve.site import Site

if TYPE_CHECKING:
    from fastapi import FastAPI

    from altclip.encoder import Encoder
    from altclip.search import Index

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1", "[::1]")
_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"model": forms.Failure, "description": "What is wrong with the request"},
    "5XX": {"model": forms.Failure, "description": "Why it cannot be answered now"},
}
_ABOUT: Final = """Images and texts of many languages as vectors of one space.

`/v1/embeddings` and `/v1/models` are as OpenAI's clients expect them. Errors have OpenAI's form."""


def create_app(
    settings: Settings, encoder: "Encoder", *, keys: KeyRing | None = None, index: "Index | None" = None,
    fetcher: Fetcher | None = None, generator: Pictures | None = None,
) -> "FastAPI":  # fmt: skip
    """The server as an ASGI application.

    keys: who may ask; None or an empty ring lets everybody in. index: what /search asks; None for none. fetcher: how
    addresses of images are followed, where the settings say `fetch`; None for public ones alone. generator: what draws
    pictures; None for none.

    Raises:
        MissingExtraError: without the extra `serve`.
        SearchError: the index is of another model.
    """
    try:
        from fastapi import FastAPI
        from fastapi.exceptions import RequestValidationError
        from starlette.exceptions import HTTPException
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
    except ImportError as error:
        raise MissingExtraError("fastapi", "serve") from error
    ring, metrics = keys or KeyRing(), Metrics()
    if settings.fetch:
        fetcher = fetcher or Fetcher(settings.fetch_timeout)
    model = Model(encoder, settings, metrics.batch, fetcher)
    library = Library(index, model) if index is not None else None
    answers = Answers(model)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await model.start()
        for kind, lane in model.lanes.items():
            metrics.watch_queue(kind, lane)
        if generator is not None:
            generator.lane.note = partial(metrics.batch, "picture")
            generator.start()
            metrics.watch_queue("picture", generator.lane)
        app.state.ready = True
        yield
        app.state.ready = False
        ends = [model.close(), *([generator.close()] if generator is not None else [])]
        app.state.finished = all(await asyncio.gather(*ends))

    app = FastAPI(
        title="altclip", version=__version__, description=_ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None,
        responses=_ERRORS,
        middleware=[
            Middleware(Observed, metrics=metrics),
            Middleware(TrustedHostMiddleware, allowed_hosts=_hosts(settings, ring), www_redirect=False),
            Middleware(Site, state=_page_state(answers, library, generator, ring)),
            Middleware(Admission, keys=ring, settings=settings),
            Middleware(Bodies, settings=settings),
        ],
        exception_handlers={
            Refusal: _on_refusal, RequestValidationError: _on_validation, HTTPException: _on_http,
            WeightsError: _on_weights,
        },
    )  # fmt: skip
    app.state.ready, app.state.finished = False, True
    app.state.model, app.state.metrics, app.state.generator = model, metrics, generator
    _add_model_routes(app, answers, generator, ring)
    _add_library_routes(app, library, ring)
    _add_picture_routes(app, generator, ring)
    _add_state_routes(app, model, metrics, ring)
    return app


def _hosts(settings: Settings, ring: KeyRing) -> list[str]:
    """By which names the server answers: without keys a page elsewhere could have its visitors ask by another."""
    if settings.hosts:
        return [*_LOOPBACK, settings.host, *settings.hosts]
    return ["*"] if ring or settings.without_keys else [*_LOOPBACK, settings.host]


def _page_state(answers: Answers, library: Library | None, generator: Pictures | None, ring: KeyRing) -> dict[str, Any]:
    """What the page is told before it has a key."""
    card, offered = answers.card(answers.name), generator.offered() if generator is not None else None
    return {
        "model": card.id, "languages": card.languages, "index": library is not None, "keys": bool(ring),
        "generate": offered,
    }  # fmt: skip


def _allowed(ring: KeyRing) -> Callable[..., Any]:
    """A dependency that gives the caller, and tells OpenAPI that keys are asked for."""
    from fastapi import Request, Security
    from fastapi.security import HTTPBearer

    def known(request: Request) -> Caller:
        caller: Caller = request.state.caller
        return caller

    bearer = HTTPBearer(auto_error=False, description="a key of altclip serve --new-key")

    def known_by_key(request: Request, _key: Annotated[Any, Security(bearer)]) -> Caller:
        return known(request)

    return known_by_key if ring else known


def _add_model_routes(app: "FastAPI", answers: Answers, generator: Pictures | None, ring: KeyRing) -> None:
    from fastapi import Depends

    keyed: dict[str, Any] = {"dependencies": [Depends(_allowed(ring))]}

    @app.get("/v1/models", tags=["model"], **keyed)
    async def models() -> forms.Models:
        """The model that answers, and the one that draws where there is one."""
        return forms.Models(data=[answers.card(answers.name), *([generator.card()] if generator is not None else [])])

    @app.get("/v1/models/{model:path}", tags=["model"], **keyed)
    async def model(model: str) -> forms.ModelCard:
        """A model by its name."""
        if generator is not None and model == generator.name:
            return generator.card()
        return answers.card(model)

    @app.post("/v1/embeddings", tags=["model"], **keyed)
    async def embeddings(form: forms.EmbeddingForm) -> forms.Embeddings:
        """Embeddings of texts and images, of length 1, in one space."""
        return await answers.embeddings(form)

    @app.post("/classify", tags=["model"], **keyed)
    async def classify(form: forms.ClassifyForm) -> forms.Classified:
        """Which of your labels fits each image best."""
        return await answers.classify(form)

    @app.get("/labels", tags=["model"], **keyed)
    async def labels(language: Language) -> forms.Labels:
        """The 200 labels of the bundled model in one of its languages, in the same order in each."""
        return forms.Labels(language=language, labels=list(label_set("mini", language).values()))

    @app.post("/similarity", tags=["model"], **keyed)
    async def similarity(form: forms.SimilarityForm) -> forms.Similarities:
        """Cosines of images and texts."""
        return await answers.similarity(form)


def _add_library_routes(app: "FastAPI", library: Library | None, ring: KeyRing) -> None:
    from fastapi import Depends, Path, Query, Request, Response

    Known = Annotated[Caller, Depends(_allowed(ring))]
    Id = Annotated[str, Path(pattern=forms.ID)]
    drawn: dict[str, Any] = {
        "response_class": Response,
        "responses": {200: {"content": {"image/*": {}}}, 304: {"description": "As it was"}},
    }

    def photographs() -> Library:
        if library is None:
            raise Refusal(404, "this server has no index: altclip serve --index FOLDER", code="no_index")
        return library

    Photographs = Annotated[Library, Depends(photographs)]

    def answered(picture: Any, request: Request) -> Response:
        headers = {"etag": f'"{picture.tag}"', "cache-control": "private, max-age=3600", "vary": "authorization"}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(picture.data, media_type=picture.kind, headers=headers)

    @app.get("/index", tags=["photographs"])
    async def card(known: Known, photographs: Photographs) -> forms.IndexCard:
        """What is indexed."""
        return await photographs.card(known)

    @app.post("/search", tags=["photographs"])
    async def search(form: forms.SearchForm, known: Known, photographs: Photographs) -> forms.FoundPage:
        """The photographs that fit texts and pictures best."""
        return await photographs.search(form, known)

    @app.get("/images/{id}", tags=["photographs"], **drawn)
    async def picture(
        id: Id, request: Request, known: Known, photographs: Photographs,  # noqa: A002 (the word for it)
        side: Annotated[int | None, Query(ge=16, le=4096, description="of the longer side, in pixels")] = None,
    ) -> Response:  # fmt: skip
        """A photograph, drawn without its metadata; for keys that may write and without `side`, the file itself."""
        return answered(await photographs.picture(id, side, known), request)

    @app.get("/images/{id}/thumbnail", tags=["photographs"], dependencies=[Depends(_allowed(ring))], **drawn)
    async def thumbnail(id: Id, request: Request, photographs: Photographs) -> Response:  # noqa: A002
        """A photograph at 320 pixels."""
        return answered(await photographs.thumbnail(id), request)


def _add_picture_routes(app: "FastAPI", generator: Pictures | None, ring: KeyRing) -> None:
    from fastapi import Depends

    @app.post("/v1/images/generations", tags=["pictures"], dependencies=[Depends(_allowed(ring))])
    async def generations(form: PictureForm) -> Generated:
        """Pictures from words."""
        if generator is None:
            message = "this server draws no pictures: its setting `generate` names no AltDiffusion"
            raise Refusal(404, message, code="no_generator")
        return await generator.generations(form)


def _add_state_routes(app: "FastAPI", model: Model, metrics: Metrics, ring: KeyRing) -> None:
    from fastapi import Depends, Response

    failing: dict[int | str, dict[str, Any]] = {503: {"model": forms.Health, "description": "It does not"}}

    @app.get("/healthz", tags=["state"], responses=failing)
    async def healthz(response: Response) -> forms.Health:
        """Whether the model encodes: it is made to."""
        problem = await model.problem()
        response.status_code = 503 if problem else 200
        return forms.Health(status="failing" if problem else "ok", problem=problem)

    @app.get("/readyz", tags=["state"], responses=failing)
    async def readyz(response: Response) -> forms.Health:
        """Whether requests are taken: the model is warm, there is room, and the server is not ending."""
        full = any(lane.queued >= model.settings.queue for lane in model.lanes.values())
        problem = "the queue is full" if full else None if app.state.ready else "starting or ending"
        response.status_code = 503 if problem else 200
        return forms.Health(status="failing" if problem else "ok", problem=problem)

    @app.get("/metrics", tags=["state"], dependencies=[Depends(_allowed(ring))], response_class=Response)
    async def counters() -> Response:
        """Counters for Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)


async def _on_refusal(_request: Any, error: Any) -> Any:
    from fastapi import Response

    return Response(encoded(error.body), status_code=error.status, headers=error.headers, media_type="application/json")


async def _on_validation(request: Any, error: Any) -> Any:
    """The first mistake, in words. What was sent is not repeated: it may be large, or not be JSON."""
    mistake = error.errors()[0]
    place = ".".join(str(part) for part in mistake["loc"] if part not in ("body", "query", "path"))
    message = str(mistake["msg"]).removeprefix("Value error, ")
    refusal = Refusal(400, f"{place}: {message}" if place else message, code="invalid_request", param=place or None)
    return await _on_refusal(request, refusal)


async def _on_http(request: Any, error: Any) -> Any:
    refusal = Refusal(error.status_code, str(error.detail), code=str(error.detail).lower().replace(" ", "_"))
    response = await _on_refusal(request, refusal)
    response.headers.update(error.headers or {})
    return response


async def _on_weights(request: Any, _error: Any) -> Any:
    LOGGER.error("the model gives NaN or infinity")
    return await _on_refusal(request, Refusal(500, "the model gives no numbers for this", code="not_finite"))
