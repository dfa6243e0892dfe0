"""What OpenAPI promises holds: Schemathesis makes requests of the document, right ones and wrong ones."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as limits

from altclip.encoder import Encoder
from altclip.search import Index
from altclip.serve.keys import KeyRing, new_key
from tests.serve.made import NAME, serving

schemathesis = pytest.importorskip("schemathesis", reason="this test needs schemathesis")


def probe(client: httpx.Client, examples: int, secret: str | None = None) -> list[str]:
    """Ask every operation so often, half of it wrongly; the operations that were asked."""
    from schemathesis.generation import GenerationMode

    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    schema = schemathesis.openapi.from_url(f"{str(client.base_url).rstrip('/')}/openapi.json", headers=headers)
    if secret is not None:
        use_key(schema, secret)
    asked = []
    for found in schema.get_all_operations():
        operation = found.ok()
        asked.append(operation.label)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _probe(operation, mode, examples, schema.auth if secret else None)
    return asked


def use_key(schema: Any, secret: str) -> None:
    """The key as Schemathesis wants it told, so that it knows what to leave out where it asks without one.

    Of the headers of a call it takes out `Authorization` in that spelling alone.
    """

    @schema.auth()
    class Bearer:
        def get(self, case: Any, context: Any) -> str:
            return secret

        def set(self, case: Any, data: str, context: Any) -> None:
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


def _probe(operation: Any, mode: Any, examples: int, auth: Any) -> None:
    from hypothesis.errors import Unsatisfiable
    from schemathesis.generation import GenerationMode
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    @limits(
        max_examples=examples, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode, auth_storage=auth))
    def ask(case: Any) -> None:
        if mode == GenerationMode.POSITIVE and isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = NAME  # of all names the one that goes further
        # that a string of the right form is an image, or a name that of the model, no schema can say
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    try:
        ask()
    except Unsatisfiable:  # an operation without parameters cannot be asked wrongly
        return


def test_a_few_requests_of_each_kind(encoder: Encoder, index: Index) -> None:
    with serving(encoder, index=index) as client:
        asked = probe(client, 3)
    assert {"POST /v1/embeddings", "POST /search", "GET /images/{id}"} <= set(asked)


@pytest.mark.slow
def test_many_requests_of_each_kind(encoder: Encoder, index: Index) -> None:
    with serving(encoder, index=index) as client:
        assert len(probe(client, 200)) > 10


@pytest.mark.slow
def test_many_requests_with_a_key(encoder: Encoder, index: Index) -> None:
    secret, key = new_key("a", "read")
    with serving(encoder, keys=KeyRing({"a": key}), index=index) as client:
        assert len(probe(client, 50, secret)) > 10
        counters = client.get("/metrics", headers={"authorization": f"Bearer {secret}"}).text
    refused = re.search(r'altclip_requests_total{method="GET",route="other",status="401"} (\d+)', counters)
    assert refused, "Schemathesis did not ask without the key"
    assert int(refused[1]) > 20
