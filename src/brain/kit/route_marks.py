"""Marks that a route has in the OpenAPI document, by which the server treats its requests; FastAPI is not imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ANY_QUERY = {"x-any-query": True}
"""For `openapi_extra=` of a route whose callers add query parameters of their own."""
CREATES_NOTHING = "x-creates-nothing"
"""The key of an operation in the OpenAPI document that takes no Idempotency-Key; its value is the reason."""
RAW_BODY = "x-raw-body"
"""The key of an operation in the OpenAPI document whose body is not checked to be JSON; its value is a RawBody."""
SIGNED = "x-signed"
"""The key of an operation in the OpenAPI document that needs no API key, since its sender signs; its value says how."""
ACTION = "x-action"
"""The key of an operation in the OpenAPI document that says what its sender must be allowed to do."""
PROBLEM_TYPE = "application/problem+json"
"""The media type of every error's answer (RFC 9457)."""


def creates_nothing(reason: str) -> dict[str, Any]:
    """For `openapi_extra=` of a POST that takes no `Idempotency-Key`; every other POST below `/api/` takes one."""
    return {CREATES_NOTHING: reason}


@dataclass(frozen=True)
class RawBody:
    """What body a route takes that checks it itself: of these media types (none: of any), with at most so many bytes
    (None: the server's limit). It is handed over as it came. One that does not arrive in time is answered 503, and not
    408: its sender may send it again.
    """

    media_types: Sequence[str] = ()
    most: int | None = None


def raw_body(*media_types: str, most: int | None = None) -> dict[str, Any]:
    """For `openapi_extra=` of a route that takes a body of another form than JSON, or whose bytes are signed."""
    return {RAW_BODY: {"media_types": list(media_types), "most": most}}


def signed(reason: str) -> dict[str, Any]:
    """For `openapi_extra=` of a route that checks a signature itself: requests for it need no API key."""
    return {SIGNED: reason}


def action(name: str) -> dict[str, Any]:
    """For `openapi_extra=` of a route of a plug-in from outside: the role needs this `brain.*` action. Without it GET
    needs `brain.read`, and all else `brain.operate`.
    """
    return {ACTION: name}
