"""The encoder behind its lanes: one for texts, one for images; and whether it still works."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
from PIL import Image

from altclip.encoder.tokens import token_ids
from altclip.engines import Features
from altclip.errors import ImageError, InputError
from altclip.serve.contents import Address, Content, is_known_kind
from altclip.serve.fetching import Budget, Fetcher, UnfetchableError
from altclip.serve.lanes import Lane
from altclip.serve.refusals import Refusal
from altclip.serve.settings import Settings

if TYPE_CHECKING:
    from altclip.encoder import Encoder

Kind: TypeAlias = Literal["text", "image"]
NoteBatch: TypeAlias = Callable[[str, int, float], object]
_FRESH: Final = 1.0  # seconds that a finding of health holds, so that asking for it costs nothing
_UNKNOWN_KIND: Final = ImageError("", "is not an image of a kind that is taken: JPEG, PNG, WebP, GIF, TIFF, HEIC, ...")


@dataclass(frozen=True)
class Embedded:
    """rows (items, dim) in the order of the items; tokens: of all texts together."""

    rows: Features
    tokens: int


class Model:
    """What requests share."""

    def __init__(
        self, encoder: Encoder, settings: Settings, note: NoteBatch = lambda *_: None, fetcher: Fetcher | None = None
    ) -> None:
        self.encoder, self.settings, self._fetcher = encoder, settings, fetcher
        encoder.max_pixels = settings.max_pixels
        config = encoder.model.config
        self.lanes: dict[Kind, Lane] = {}
        if config.text is not None and encoder.tokenizer is not None:
            # a read-out that sees the padding would let one client's texts change the embeddings of another's
            alone = not config.heads[encoder.head].masked
            self.lanes["text"] = self._lane("text", self._texts, note, alone)
        if config.vision is not None:
            self.lanes["image"] = self._lane("image", self._images, note, alone=False)
        self._healthy: tuple[float, str | None] = (-_FRESH, None)
        self._checking: asyncio.Lock | None = None

    def _lane(self, kind: Kind, work: Callable[[list[Any]], Sequence[Any]], note: NoteBatch, alone: bool) -> Lane:
        settings = self.settings
        return Lane(
            work, most=settings.batch, room=settings.queue, gather=settings.gather, alone=alone,
            note=lambda size, seconds: note(kind, size, seconds),
        )  # fmt: skip

    async def start(self) -> None:
        """Begin, and compute once, so that what is compiled at first use is so before the first request."""
        self._checking = asyncio.Lock()
        for lane in self.lanes.values():
            lane.start()
        for kind, lane in self.lanes.items():
            await lane.results([_sample(kind)])

    async def close(self) -> bool:
        """Finish what was taken; False if something is stuck."""
        ends = [lane.close(self.settings.shutdown) for lane in self.lanes.values()]
        finished = all(await asyncio.gather(*ends))
        if self._fetcher is not None:
            await self._fetcher.close()
        return finished

    async def embed(self, contents: Sequence[Content], param: str | Sequence[str] = "input") -> Embedded:
        """Embeddings of texts and images, mixed.

        param: the list in the request that they are of, or the name of each.

        Raises Refusal: an image cannot be had or read (and is named), no such tower, no room, or no time.
        """
        names = [f"{param}[{place}]" for place in range(len(contents))] if isinstance(param, str) else param
        items = await self._fetched(contents, names)
        places: dict[Kind, list[int]] = {"text": [], "image": []}
        for place, item in enumerate(items):
            places["text" if isinstance(item, str) else "image"].append(place)
        rows: Features = np.zeros((len(items), self.encoder.dim), np.float32)
        asked = {kind: found for kind, found in places.items() if found}
        given = await self._all({kind: [items[place] for place in found] for kind, found in asked.items()})
        tokens = 0
        for kind, found in asked.items():
            for place, result in zip(found, given[kind], strict=True):
                if isinstance(result, InputError):
                    raise _unusable(result, names[place])
                rows[place] = result[0]
                tokens += result[1]
        return Embedded(rows, tokens)

    async def _fetched(self, contents: Sequence[Content], names: Sequence[str]) -> list[str | bytes]:
        """With what lies at addresses in their places. All of a request's together are as large as a body may be."""
        items = {place: content for place, content in enumerate(contents) if not isinstance(content, Address)}
        addresses = {place: content for place, content in enumerate(contents) if isinstance(content, Address)}
        if not addresses:
            return list(items.values())
        most = self.settings.fetch_items
        if len(addresses) > most:
            param = names[0].partition("[")[0]
            message = f"{param} has {len(addresses)} addresses; this server fetches {most} for a request"
            raise Refusal(400, message, code="too_many_inputs", param=param)
        budget = Budget(self.settings.max_body)
        try:
            async with asyncio.TaskGroup() as group:
                coming = {
                    place: group.create_task(self._one(address, budget, names[place]))
                    for place, address in addresses.items()
                }
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        items |= {place: task.result() for place, task in coming.items()}
        return [items[place] for place in range(len(contents))]

    async def _one(self, address: Address, budget: Budget, param: str) -> bytes:
        try:
            if self._fetcher is None:
                raise UnfetchableError
            return await self._fetcher.fetch(address.url, budget)
        except UnfetchableError as error:
            raise Refusal(400, f"{param}: the address {error.reason}", code="not_fetched", param=param) from None

    async def _all(self, asked: dict[Kind, list[Any]]) -> dict[Kind, list[Any]]:
        for kind in asked:
            if kind not in self.lanes:
                raise Refusal(400, f"the model has no {kind} tower", code="no_such_tower", param="model")
        try:
            async with asyncio.timeout(self.settings.timeout):
                async with asyncio.TaskGroup() as group:
                    tasks = {kind: group.create_task(self.lanes[kind].results(of)) for kind, of in asked.items()}
        except TimeoutError:
            message = f"the model did not answer within {self.settings.timeout:g} s; send less at once, or later"
            raise Refusal(504, message, code="timeout") from None
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        return {kind: task.result() for kind, task in tasks.items()}

    async def problem(self) -> str | None:
        """What is wrong, None if the model has just encoded. It is asked at most once a second."""
        if self._checking is None:
            return "the model is not started"
        if (stuck := self.stuck) is not None:
            return stuck
        async with self._checking:
            if time.monotonic() - self._healthy[0] > _FRESH:
                found = await self._encodes()
                self._healthy = (time.monotonic(), found)
        return self._healthy[1]

    @property
    def stuck(self) -> str | None:
        """What can be told without waiting: a worker that has ended, or whose batch takes too long."""
        for kind, lane in self.lanes.items():
            if not lane.alive:
                return f"the worker for {kind}s has ended"
            if lane.busy_for > self.settings.stuck:
                return f"the worker for {kind}s is stuck: its batch has taken {lane.busy_for:.0f} s"
        return None

    async def _encodes(self) -> str | None:
        for kind, lane in self.lanes.items():
            try:
                async with asyncio.timeout(self.settings.stuck):
                    await lane.results([_sample(kind)], urgent=True)
            except TimeoutError:
                return f"the worker for {kind}s is stuck: a sample took over {self.settings.stuck:g} s"
            except Refusal as refusal:
                return refusal.message
            except Exception as error:  # noqa: BLE001 - whatever it is, the model does not work
                return f"a sample cannot be encoded ({kind}): {type(error).__name__}"
        return None

    def _texts(self, texts: list[str]) -> list[tuple[Features, int]]:
        """Rows with numbers of tokens. In the lane's thread."""
        rows = self.encoder.encode_texts(texts, progress=False)
        config, tokenizer = self.encoder.model.config.text, self.encoder.tokenizer
        ids = token_ids(texts, tokenizer, config) if config is not None and tokenizer is not None else []
        return [(row, len(tokens)) for row, tokens in zip(rows, ids, strict=True)]

    def _images(self, images: list[bytes]) -> list[tuple[Features, int] | InputError]:
        """Rows, an error in the place of each that cannot be read. In the lane's thread."""
        bad: dict[int, InputError] = {}
        known = [image if is_known_kind(image) else b"" for image in images]
        rows = iter(self.encoder.encode_images(known, progress=False, on_error=bad.__setitem__))
        bad |= {place: _UNKNOWN_KIND for place, image in enumerate(images) if image and not known[place]}
        return [bad[place] if place in bad else (next(rows), 0) for place in range(len(images))]


def _sample(kind: Kind) -> str | bytes:
    if kind == "text":
        return "a cat"
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (120, 80, 40)).save(buffer, "PNG")
    return buffer.getvalue()


def _unusable(error: InputError, param: str) -> Refusal:
    reason, _, _ = (getattr(error, "reason", None) or str(error)).partition(" (it starts with ")  # what was sent
    return Refusal(400, f"{param}: the image {reason}", code="invalid_image", param=param)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """One error of a group, the most telling first."""
    leaves = [_first(error) if isinstance(error, BaseExceptionGroup) else error for error in errors.exceptions]
    return next((error for error in leaves if isinstance(error, Refusal)), leaves[0])
