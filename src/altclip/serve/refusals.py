"""What a client is told when it gets nothing: a status and an error in the form of OpenAI's API."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

_TYPES: Final = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Refusal(Exception):  # noqa: N818 - it is an answer
    """A request that is not answered.

    status: of HTTP. message: for the client; never a part of what it sent. code: a word for programs. param: the place
    in the request that is meant.
    """

    def __init__(
        self, status: int, message: str, *, code: str, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.retry_after = status, message, code, param, retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What the status asks for besides the body."""
        found = {}
        if self.retry_after is not None:
            found["retry-after"] = str(max(1, math.ceil(self.retry_after)))
        if self.status == 401:
            found["www-authenticate"] = "Bearer"
        return found

    @property
    def body(self) -> dict[str, Any]:
        """The JSON that tells of it."""
        return error_body(self.status, self.message, self.code, self.param)


def error_body(status: int, message: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """`{"error": ...}` as OpenAI's clients read it."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def encoded(body: Mapping[str, Any]) -> bytes:
    """JSON in ASCII: what a client sent may hold letters that UTF-8 has no bytes for."""
    return json.dumps(body, allow_nan=False).encode("ascii")
