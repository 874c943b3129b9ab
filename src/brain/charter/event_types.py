"""The declaration of event types, from which validation, docs, AsyncAPI and JSON Schema come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from time import time
from typing import Any, Generic, TypeVar

import msgspec

from brain.charter.context import CURRENT
from brain.charter.envelope import Event, mint_id
from brain.errors import EnvelopeError
from brain.typed import ready


class Priority(StrEnum):
    """How soon a person or a program should look at an event of the type."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"


class Frequency(StrEnum):
    """How often an event of the type is expected."""

    HIGH = "High"
    MEDIUM = "Medium"
    LOW = "Low"


P = TypeVar("P")


@dataclass(frozen=True)
class EventType(Generic[P]):
    """The one declaration of an event type; `payload` is a TypedDict whose keys are annotated with `msgspec.Meta`.

    Validation, docs/events, AsyncAPI and JSON Schema all come from it.
    """

    name: str
    module: str
    payload: type[P]
    priority: Priority
    frequency: Frequency
    purpose: str
    example: Mapping[str, Any]  # not P, which mypy would widen until it fits a dictionary that is written here

    def __hash__(self) -> int:
        """By its name, which no other type has."""
        return hash(self.name)

    @cached_property
    def source(self) -> str:
        """What events of this type carry as their source."""
        return f"{self.module}_service"

    def check(self, payload: object) -> P:
        """The payload as its type, copied. Raises EnvelopeError naming the key that does not fit the declaration."""
        try:
            return msgspec.convert(payload, ready(self.payload))
        except msgspec.ValidationError as error:
            raise EnvelopeError(f"payload of {self.name}: {error}") from error

    def event(self, payload: P, *, target: str | None = None, meta: Mapping[str, Any] | None = None) -> Event:
        """A new event with a checked payload; `meta` is laid over the meta of the context."""
        self.check(payload)
        return self.unchecked(payload, target, meta)

    def unchecked(self, payload: P, target: str | None = None, meta: Mapping[str, Any] | None = None) -> Event:
        """As `event`, without the run-time check: for hot paths whose payload the type checker has seen."""
        now = time()
        return Event(
            id=mint_id(self.module, now),
            type=self.name,
            source=self.source,
            target=target,
            timestamp=now,
            payload=payload,  # type: ignore[arg-type]
            meta={**CURRENT.get(), **meta} if meta else {**CURRENT.get()},
        )
