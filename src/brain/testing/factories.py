"""Ready events of every declared type, made from the declarations' own examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brain.charter import Event
from brain.errors import InvalidInput
from brain.plugins import catalogue


def make_event(
    event_type: str,
    /,
    *,
    target: str | None = None,
    meta: Mapping[str, Any] | None = None,
    correlation_id: str | None = None,
    **payload: Any,
) -> Event:
    """A new event of a declared type: the declaration's example, with the keys of `payload` laid over it.

    `make_event("threat.detected", severity="LOW", correlation_id="request-1")`.
    Raises InvalidInput for an unknown type or key, EnvelopeError for a value that does not fit.
    """
    declared = catalogue().get(event_type)
    if declared is None:
        raise InvalidInput(f"event type {event_type!r} is not declared; there are: {', '.join(catalogue())}")
    unknown = payload.keys() - declared.payload.__annotations__.keys()
    if unknown:
        raise InvalidInput(
            f"payload of {event_type} has no key {', '.join(sorted(unknown))}; "
            f"there are: {', '.join(declared.payload.__annotations__)}"
        )
    about = dict(meta or {})
    if correlation_id is not None:
        about["correlation_id"] = correlation_id
    return declared.event({**declared.example, **payload}, target=target, meta=about)


def one_of_each() -> list[Event]:
    """A new event of every declared type."""
    return [make_event(event_type) for event_type in catalogue()]
