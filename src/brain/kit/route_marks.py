"""Marks that a route has in the OpenAPI document, by which the server treats its requests; FastAPI is not imported."""

from __future__ import annotations

from typing import Any

ANY_QUERY = {"x-any-query": True}
"""For `openapi_extra=` of a route whose callers add query parameters of their own."""
CREATES_NOTHING = "x-creates-nothing"
"""The key of an operation in the OpenAPI document that takes no Idempotency-Key; its value is the reason."""
RAW_BODY = {"x-raw-body": True}
"""For `openapi_extra=` of a route that takes a body of any form, such as one whose bytes are signed; it checks it."""
SIGNED = "x-signed"
"""The key of an operation in the OpenAPI document that needs no API key, since its sender signs; its value says how."""
PROBLEM_TYPE = "application/problem+json"
"""The media type of every error's answer (RFC 9457)."""


def creates_nothing(reason: str) -> dict[str, Any]:
    """For `openapi_extra=` of a POST that takes no `Idempotency-Key`; every other POST below `/api/` takes one."""
    return {CREATES_NOTHING: reason}


def signed(reason: str) -> dict[str, Any]:
    """For `openapi_extra=` of a route that checks a signature itself: requests for it need no API key."""
    return {SIGNED: reason}
