"""Pictures from words on the server, in the form of OpenAI's API: one request at a time, until its client leaves.

The thread that draws looks after every step whether somebody still waits. What was asked is never logged.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from altclip.diffusion import SAMPLERS, Cancelled, Options, Picture, Progress, generate, open_pipeline
from altclip.diffusion.generating import check_prompts, own_size
from altclip.diffusion.options import MULTIPLE
from altclip.errors import AltclipError, UsageError
from altclip.serve.forms import Form, ModelCard, Name, Text
from altclip.serve.lanes import Lane
from altclip.serve.refusals import Refusal
from altclip.serve.settings import Settings

_ENDING: Final = 60.0  # seconds for the step that is computed when the server gives a picture up
_VAIN: Final = Field(description="has no effect")
_SIZE: Final = r"^(auto|\d{1,5}x\d{1,5})$"


class PictureForm(Form):
    """As OpenAI's API has it, and what an AltDiffusion takes besides; pictures come as PNG in base64."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"prompt": "一只戴帽子的小狗", "n": 1, "steps": 20}]})

    prompt: Text
    model: Annotated[Name | None, Field(description="none but the server's")] = None
    n: Annotated[int | None, Field(ge=1, description="pictures")] = None
    size: Annotated[str | None, Field(pattern=_SIZE, description="WIDTHxHEIGHT, multiples of 8, or auto")] = None
    response_format: Annotated[
        Literal["b64_json", "url"] | None, Field(description="b64_json alone: no files are kept for an address")
    ] = None
    output_format: Literal["png"] | None = None
    background: Literal["auto", "opaque"] | None = None
    stream: Literal[False] | None = None
    quality: Annotated[Name | None, _VAIN] = None
    style: Annotated[Name | None, _VAIN] = None
    moderation: Annotated[Name | None, _VAIN] = None
    output_compression: Annotated[int | None, _VAIN] = None
    user: Annotated[Text | None, _VAIN] = None
    negative_prompt: Annotated[Text, Field(description="what the pictures should not show")] = ""
    seed: Annotated[int | None, Field(ge=0, le=2**32 - 1, description="of the first picture")] = None
    steps: Annotated[int | None, Field(ge=1, le=1000)] = None
    guidance: Annotated[float | None, Field(ge=0, le=100)] = None
    sampler: Annotated[str | None, Field(description=f"{', '.join(SAMPLERS)}; else the model's own")] = None


class Drawn(BaseModel):
    """A picture. left_out: what of the prompt was too long to be read; withheld: blackened as unsafe, or null."""

    b64_json: str
    seed: int
    left_out: str | None = None
    negative_left_out: str | None = None
    withheld: bool | None = None


class Generated(BaseModel):
    """The pictures in the order of their seeds."""

    created: int
    data: list[Drawn]
    output_format: Literal["png"] = "png"
    size: str


@dataclass(eq=False)
class _Wanted:
    """A request on its way. left: nobody waits for it any more."""

    prompt: str
    options: dict[str, Any]
    left: Event = field(default_factory=Event)


class Pictures:
    """A pipeline behind a queue of its own."""

    def __init__(self, pipeline: Any, name: str, settings: Settings) -> None:
        self.name, self._pipeline, self._settings = name, pipeline, settings
        self._ending, self._created = Event(), int(time.time())
        self.lane = Lane(self._draw_all, most=1, room=settings.generate_queue, gather=0, alone=True)

    def card(self) -> ModelCard:
        """The model that draws."""
        return ModelCard(id=self.name, created=self._created)

    def offered(self) -> dict[str, Any]:
        """What the page lets its user choose: the most pictures and steps, and sizes about the model's own."""
        most, own = self._settings, own_size(self._pipeline)
        sizes = [[_whole(share * side) for side in own] for share in (0.5, 1, 1.5)]
        fitting = [f"{width}x{height}" for width, height in sizes if max(width, height) <= most.generate_side]
        return {"number": most.generate_number, "steps": most.generate_steps, "sizes": fitting}

    def start(self) -> None:
        """Begin to work."""
        self.lane.start()

    async def close(self) -> bool:
        """Finish what was taken, or give it up when that takes too long; False if a step is stuck."""
        if await self.lane.close(self._settings.shutdown):
            return True
        self._ending.set()
        return await self.lane.close(_ENDING)

    async def generations(self, form: PictureForm) -> Generated:
        """The pictures that a request asks for.

        Raises Refusal: what is asked is over the limits or wrong, no room, or no time.
        """
        wanted = _Wanted(form.prompt, self._options(form))
        try:
            async with asyncio.timeout(self._settings.generate_timeout):
                (pictures,) = await self.lane.results([wanted])
        except TimeoutError:
            message = (
                f"the pictures were not finished within {self._settings.generate_timeout:g} s, waiting included; ask "
                "for less, or again later"
            )
            raise Refusal(504, message, code="timeout") from None
        except UsageError as error:
            raise Refusal(400, str(error), code="invalid_request") from None
        except Cancelled:
            raise Refusal(503, "the server is shutting down", code="shutting_down", retry_after=5) from None
        except AltclipError as error:
            raise Refusal(500, str(error), code="not_drawn") from None
        finally:
            wanted.left.set()
        return await asyncio.to_thread(_answer, pictures)

    def _options(self, form: PictureForm) -> dict[str, Any]:
        """What `generate` is to be told, within the limits."""
        if form.model not in (None, self.name):
            message = f"there is no such model here: pictures are drawn by {self.name}"
            raise Refusal(404, message, code="model_not_found", param="model")
        if form.response_format == "url":
            message = "no pictures are kept for an address: expected response_format b64_json"
            raise Refusal(400, message, code="unsupported_response_format", param="response_format")
        for name in ("prompt", "negative_prompt"):
            self._check(len(getattr(form, name)), self._settings.max_characters, name, "characters")
        sides = [int(side) for side in re.findall(r"\d+", form.size or "")]
        self._check(form.n or 1, self._settings.generate_number, "n", "pictures")
        self._check(max(sides, default=0), self._settings.generate_side, "size", "pixels a side")
        usual = Options.model_fields["steps"].default
        steps = min(usual, self._settings.generate_steps) if form.steps is None else form.steps
        self._check(steps, self._settings.generate_steps, "steps", "steps")
        most = _whole(self._settings.generate_side)
        sides = sides or [min(side, most) for side in own_size(self._pipeline)]
        given = {
            "number": form.n, "steps": steps, "seed": form.seed, "guidance": form.guidance, "sampler": form.sampler,
            "negative_prompt": form.negative_prompt, **dict(zip(("width", "height"), sides, strict=False)),
        }  # fmt: skip
        return _checked(form.prompt, {name: value for name, value in given.items() if value is not None})

    @staticmethod
    def _check(asked: int, most: int, param: str, what: str) -> None:
        if asked > most:
            raise Refusal(400, f"{param}: this server draws at most {most} {what}", code="too_large", param=param)

    def _draw_all(self, items: list[_Wanted]) -> list[list[Picture]]:
        """In the lane's thread."""
        return [self._draw(wanted) for wanted in items]

    def _draw(self, wanted: _Wanted) -> list[Picture]:
        def look(_now: Progress) -> None:
            if wanted.left.is_set() or self._ending.is_set():
                raise Cancelled

        return list(generate(self._pipeline, wanted.prompt, on_step=look, on_cut=_unsaid, **wanted.options))


def _whole(side: float) -> int:
    """A side that a latent fills, not longer than that."""
    return max(MULTIPLE, int(side) // MULTIPLE * MULTIPLE)


def _checked(prompt: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options themselves; a mistake in them is refused here, and does not wait in the queue for that."""
    try:
        check_prompts([prompt])
        found = Options.of(options)
        found.check_seeds(found.seed or 0)
    except UsageError as error:
        raise Refusal(400, str(error), code="invalid_request") from None
    return options


def _unsaid(_count: int, _rest: str) -> None:
    """What was left out goes into the answer, and into no log."""


def _answer(pictures: list[Picture]) -> Generated:
    data = [
        Drawn(
            b64_json=base64.b64encode(picture.png()).decode("ascii"), seed=picture.parameters["seed"],
            left_out=picture.parameters.get("left_out"),
            negative_left_out=picture.parameters.get("negative_left_out"), withheld=picture.withheld,
        )
        for picture in pictures
    ]  # fmt: skip
    width, height = pictures[0].image.size
    return Generated(created=int(time.time()), data=data, size=f"{width}x{height}")


def open_pictures(settings: Settings, device: str) -> Pictures | None:
    """What the setting `generate` names, opened; None where it names nothing. Raises as `open_pipeline`."""
    if not settings.generate:
        return None
    return Pictures(open_pipeline(settings.generate, device=device), Path(settings.generate).name, settings)
