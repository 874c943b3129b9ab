"""The envelope: a JSON object with exactly the keys id, type, source, target, timestamp, payload and meta.

Source: the seed specification, "Charter v1.0 Compliance", and docs/charter.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from itertools import count
from math import isfinite
from time import time
from typing import Any

import msgspec

from brain import limits
from brain.charter.context import CURRENT
from brain.errors import EnvelopeError
from brain.json_text import is_deeper
from brain.platform import at_fork
from brain.typed import ready

_ID = re.compile(r"evt_[a-z][a-z0-9_]*_[0-9]+_[0-9a-f]{12,}").fullmatch
_TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+").fullmatch
_SOURCE = re.compile(r"[a-z][a-z0-9_]*_service").fullmatch

_well_formed: set[tuple[str, str]] = set()


def _start_numbers() -> None:
    """Begin at a place of this process's own: a forked child would otherwise mint the very ids its parent mints."""
    global _next_number
    _next_number = count(int.from_bytes(os.urandom(8)) >> 1).__next__


_next_number: Callable[[], int]
_start_numbers()
at_fork(in_child=_start_numbers)
_newest = (0, "0", 0.0)
"""Milliseconds of the last id, the same as text, and the time (Unix seconds) until which they are sure to stay so."""


def mint_id(module: str, now: float) -> str:
    """An event id `evt_<module>_<unix milliseconds>_<64 bits in hex>` for what happens `now` (Unix seconds).

    The bits count on from a random place of this process's own. So the id sorts after every other that the process has
    minted before, within one millisecond too; and while a clock that was set back has not caught up, the newest time
    stays.
    """
    global _newest
    _, text, until = _newest
    if now >= until:
        milliseconds = int(now * 1000)
        # Without a lock, for a publish may interrupt another one of its thread: no thread or signal comes in between
        # calls, and there is none in these two lines.
        if milliseconds > _newest[0]:
            _newest = milliseconds, f"{milliseconds}", milliseconds / 1000 + 0.000_999
        text = _newest[1]
    return f"evt_{module}_{text}_{_next_number().to_bytes(8).hex()}"


def _id_at(module: str, timestamp: float) -> str:
    """An id for what happened at a time that somebody gave; the time orders no other id."""
    return f"evt_{module}_{int(timestamp * 1000)}_{_next_number().to_bytes(8).hex()}"


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event. `type`, `source` and `payload` must be given; what else is left out is minted or taken from context.

    `timestamp` is in Unix seconds. `meta` holds at least `correlation_id` and `version`.
    Raises EnvelopeError, naming the field, when a value does not keep to the Charter.
    """

    # gc=False: an event holds no reference back to itself, and the collector need not look at each one in flight.
    id: str = ""
    type: str
    source: str
    target: str | None = None
    timestamp: float = 0.0
    payload: dict[str, Any]
    meta: dict[str, Any] = {}  # msgspec copies an empty default for each instance

    def __post_init__(self) -> None:
        given = self.timestamp
        if not given:
            msgspec.structs.force_setattr(self, "timestamp", time())
        try:
            if "version" not in self.meta or type(self.meta.get("correlation_id", ...)) not in _TEXT_OR_NONE:
                _complete_meta(self)
            if (self.type, self.source) not in _well_formed:
                _check_names(self)
        except (AttributeError, TypeError):  # what cannot be looked into, or hashed
            _check_meta(self)
            _check_names(self)
        if not self.id:
            if given:
                _check_values(self)
            mint = _id_at if given else mint_id
            msgspec.structs.force_setattr(self, "id", mint(self.source[:-8], self.timestamp))
        elif type(self.id) is not str or not _ID(self.id):
            raise EnvelopeError(f"id: {self.id!r} is not of the form evt_<module>_<unix milliseconds>_<12+ hex digits>")
        timestamp = self.timestamp
        if (
            type(self.payload) is not dict
            or type(timestamp) is not float
            or not 0.0 < timestamp < 1e11
            or self.target is not None
        ):
            _check_values(self)

    @property
    def correlation_id(self) -> str | None:
        """The id that all events which belong together share, or None."""
        value: str | None = self.meta["correlation_id"]
        return value

    def __hash__(self) -> int:
        """By its id, which no other event has."""
        return hash(self.id)

    def to_dict(self) -> dict[str, Any]:
        """Its fields by name; `payload` and `meta` are the event's own, not copies."""
        return msgspec.structs.asdict(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> object:
        """An event can be a field of a pydantic model: an Event, or a mapping of its fields."""
        from brain.charter.pydantic_schema import event_schema  # here: events need no pydantic

        return event_schema(cls)

    def encode(self) -> bytes:
        """The envelope as JSON bytes. Raises EnvelopeError when the payload or meta cannot be written as JSON."""
        data = encode_plain(self)
        if data.count(b"null") > (self.target is None) + (self.meta["correlation_id"] is None):
            _check_numbers(self)
        return data

    @staticmethod
    def decode(data: bytes | str) -> Event:
        """The event written in `data`. Raises EnvelopeError, naming the field, when it is no whole valid envelope."""
        try:
            wire = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EnvelopeError(f"envelope: {error}") from error
        except RecursionError as error:
            raise EnvelopeError(f"payload: is nested deeper than {limits.EVENT_DEPTH} levels") from error
        meta = wire.meta
        if "version" not in meta or "correlation_id" not in meta:
            raise EnvelopeError("meta: needs the keys correlation_id (string or null) and version")
        if not wire.id:
            raise EnvelopeError("id: is empty")
        return Event(
            id=wire.id,
            type=wire.type,
            source=wire.source,
            target=wire.target,
            timestamp=wire.timestamp,
            payload=wire.payload,
            meta=meta,
        )


class _Wire(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The envelope as read: every key required, so that nothing missing is minted silently."""

    id: str
    type: str
    source: str
    target: str | None
    timestamp: float
    payload: dict[str, Any]
    meta: dict[str, Any]


_TEXT_OR_NONE = frozenset((str, type(None)))
_encode: Callable[[Event], bytes] = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ready(_Wire)).decode


def encode_plain(event: Event) -> bytes:
    """As `Event.encode`, for one whose payload and meta are known to hold neither NaN nor infinities."""
    try:
        return _encode(event)
    except RecursionError as error:  # whose text on Python 3.14 is of a stack, and no help
        raise EnvelopeError(f"payload or meta: is nested deeper than {limits.EVENT_DEPTH} levels") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise EnvelopeError(f"payload or meta: cannot be written as JSON: {error}") from error


def check_depth(data: bytes) -> None:
    """Raise EnvelopeError when an encoded envelope is nested deeper than events may be."""
    if is_deeper(data, limits.EVENT_DEPTH):
        raise EnvelopeError(f"payload or meta: is nested deeper than {limits.EVENT_DEPTH} levels; flatten it")


def too_large(data: bytes) -> EnvelopeError:
    """The error of an encoded envelope with more bytes than events may have."""
    return EnvelopeError(f"payload: the event has {len(data)} bytes, {limits.EVENT_BYTES} are allowed")


def _check_meta(event: Event) -> None:
    if not isinstance(event.meta, Mapping):
        raise EnvelopeError(f"meta: must be an object, not {type(event.meta).__name__}")


def _complete_meta(event: Event) -> None:
    _check_meta(event)
    current = CURRENT.get()
    meta = {**current, **event.meta}
    if "principal" in current:  # whoever makes an event cannot say that another did
        meta["principal"] = current["principal"]
    correlation_id = meta["correlation_id"]
    if correlation_id is not None and not isinstance(correlation_id, str):
        raise EnvelopeError(f"meta: correlation_id must be a string or null, not {type(correlation_id).__name__}")
    msgspec.structs.force_setattr(event, "meta", meta)


def _check_names(event: Event) -> None:
    if not isinstance(event.type, str) or not _TYPE(event.type):
        raise EnvelopeError(f"type: {event.type!r} is not of the form <subject>.<what_happened> in lower case")
    if not isinstance(event.source, str) or not _SOURCE(event.source):
        raise EnvelopeError(f"source: {event.source!r} is not of the form <module>_service in lower case")
    if len(_well_formed) < 10_000:
        _well_formed.add((event.type, event.source))


def _check_values(event: Event) -> None:
    if not isinstance(event.payload, dict):
        raise EnvelopeError(f"payload: must be an object, not {type(event.payload).__name__}")
    if isinstance(event.timestamp, int) and not isinstance(event.timestamp, bool):
        msgspec.structs.force_setattr(event, "timestamp", float(event.timestamp))
    if not isinstance(event.timestamp, float) or not 0 < event.timestamp < 1e11:
        raise EnvelopeError(f"timestamp: {event.timestamp!r} is not a time in Unix seconds")
    if event.target is not None and not isinstance(event.target, str):
        raise EnvelopeError(f"target: must be a string or null, not {type(event.target).__name__}")


def _check_numbers(event: Event) -> None:
    """The encoder writes NaN and infinities as null: refuse them instead, since the value would be lost unseen."""
    for field in ("payload", "meta"):
        waiting: list[tuple[str, Any]] = [(field, msgspec.to_builtins(getattr(event, field)))]
        while waiting:
            place, value = waiting.pop()
            if isinstance(value, float) and not isfinite(value):
                raise EnvelopeError(f"{place}: {value} is no number of JSON; leave it out, or give it as a text")
            if isinstance(value, dict):
                waiting += [(f"{place}.{key}", member) for key, member in value.items()]
            elif isinstance(value, list):
                waiting += [(f"{place}[{number}]", member) for number, member in enumerate(value)]
