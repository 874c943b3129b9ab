"""What new events take from where they are made: the correlation id, the cause, the trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brain.charter.envelope import Event

VERSION = "1.0"
"""The Charter's version, in the meta of every event."""

_NO_META: Mapping[str, Any] = {"correlation_id": None, "version": VERSION}
CURRENT: ContextVar[Mapping[str, Any]] = ContextVar("brain_meta", default=_NO_META)
"""The meta that new events get."""


@contextmanager
def correlation(correlation_id: str | None, **more: Any) -> Iterator[None]:
    """Inside this block every new event carries `correlation_id`, and `more` (`causation_id`, ...), in its meta."""
    token = CURRENT.set({**CURRENT.get(), "correlation_id": correlation_id, **more})
    try:
        yield
    finally:
        CURRENT.reset(token)


def wake_of(event: Event) -> Mapping[str, Any]:
    """The meta of new events in the wake of this one."""
    meta, event_id = event.meta, event.id
    wake = {"correlation_id": meta["correlation_id"] or event_id, "version": VERSION, "causation_id": event_id}
    if "traceparent" in meta:
        wake["traceparent"] = meta["traceparent"]
        if "tracestate" in meta:
            wake["tracestate"] = meta["tracestate"]
    return wake


class in_the_wake_of:  # noqa: N801  (used as a statement; a generator would cost 2.5 times as much an event)
    """Inside `with in_the_wake_of(event):` new events carry its correlation id (its own id, if it has none), its id as
    `causation_id`, and the trace it belongs to. For one `with` statement.
    """

    __slots__ = ("_token", "_wake")

    def __init__(self, event: Event) -> None:
        self._wake = wake_of(event)

    def __enter__(self) -> None:
        self._token = CURRENT.set(self._wake)

    def __exit__(self, *_: object) -> None:
        CURRENT.reset(self._token)


def current_meta() -> Mapping[str, Any]:
    """The meta that an event built here and now would get; to be read only."""
    return CURRENT.get()
