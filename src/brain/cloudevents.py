"""Events as CloudEvents 1.0 and CloudEvents as events; over the `cloudevents` package (extra `cloudevents`).

    from cloudevents.core.bindings import http
    message = http.to_structured_event(to_cloudevent(event))      # or to_binary_event
    event = from_cloudevent(http.from_http_event(message))

An event of ours comes back as it was. A CloudEvent of somebody else becomes a valid event whose `meta.cloudevent` keeps
its attributes. Which attribute holds what: docs/correlation.md, "CloudEvents".
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from brain.charter import VERSION, Event
from brain.errors import EnvelopeError
from brain.extras import needs
from brain.json_text import JSON_FAULTS
from brain.plugins import catalogue
from brain.stream.tracing import traceparent_in
from brain.typed import ready

if TYPE_CHECKING:
    from cloudevents.core.v1.event import CloudEvent

# Attributes that hold one meta key each, where its value is a plain text: those of the CloudEvents extensions
# "Correlation" and "Distributed Tracing".
_CARRIED = {
    "correlation_id": "correlationid",
    "causation_id": "causationid",
    "traceparent": "traceparent",
    "tracestate": "tracestate",
}
_CORE = frozenset({"specversion", "id", "type", "source", "time", "subject", "datacontenttype", "dataschema"})
_OURS = frozenset({"charterversion", "chartertarget", "charterenvelope", *_CARRIED.values()})
_MINIMAL: Mapping[str, Any] = {"correlation_id": None, "version": VERSION}
_PREFIX = "cloudevent"
_LONGEST_MODULE = 60

_json_type = re.compile(r"(application|text)/([\w.+-]+\+)?json\s*(;.*)?", re.IGNORECASE).fullmatch
_charter_type = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+").fullmatch


class AnyCloudEvent(Protocol):
    """What the package's classes of events, of any version, have in common."""

    def get_attributes(self) -> dict[str, Any]:
        """All attributes by name."""

    def get_data(self) -> Any:
        """The data, parsed or not."""


def to_cloudevent(event: Event) -> CloudEvent:
    """The event as a CloudEvent 1.0 that `from_cloudevent` turns back into an equal event.

    Raises EnvelopeError for a payload or meta that is no JSON, and MissingExtra when the package is not installed.
    """
    with needs("a CloudEvent", "cloudevents"):
        from cloudevents.core.v1.event import CloudEvent

    _check_time(event.timestamp, "timestamp")
    envelope = msgspec.json.decode(event.encode())
    moment = datetime.fromtimestamp(event.timestamp, UTC)
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "time": moment,
        "datacontenttype": "application/json",
        "charterversion": VERSION,
    }
    rest: dict[str, Any] = {}  # what no attribute can hold as it is
    if moment.timestamp() != event.timestamp:  # `time` ends at microseconds
        rest["timestamp"] = event.timestamp
    if _is_plain(event.target):
        attributes["chartertarget"] = event.target
    elif event.target is not None:
        rest["target"] = event.target
    meta = {key: value for key, value in envelope["meta"].items() if value != _MINIMAL.get(key, ...)}
    for key, attribute in _CARRIED.items():
        if _is_plain(meta.get(key)):
            attributes[attribute] = meta.pop(key)
    if meta:
        rest["meta"] = meta
    if rest:
        attributes["charterenvelope"] = json.dumps(rest, separators=(",", ":"))  # in ASCII, as headers need it
    return CloudEvent(attributes, envelope["payload"])


def from_cloudevent(cloudevent: AnyCloudEvent) -> Event:
    """The event in a CloudEvent 1.0.

    One that `to_cloudevent` made (`charterversion` says so; nothing proves it) comes back as it was. Of any other, type
    and source are written the Charter's way, never as a type or module declared here; id and source give the id, the
    same each time. Raises EnvelopeError that names the attribute.
    """
    attributes = cloudevent.get_attributes()
    for name in ("id", "source", "type", "specversion"):
        value = attributes.get(name)
        if not isinstance(value, str) or not value:
            raise EnvelopeError(f"{name}: must be a string that is not empty, not {value!r}")
    if attributes["specversion"] != "1.0":
        raise EnvelopeError(f"specversion: {attributes['specversion']!r} is not 1.0")
    data = _parsed(cloudevent.get_data(), attributes.get("datacontenttype"))
    if "charterversion" in attributes:
        return _own(attributes, data)
    return _foreign(attributes, data)


class _Rest(msgspec.Struct, forbid_unknown_fields=True):
    timestamp: float | None = None
    target: str | None = None
    meta: dict[str, Any] = {}


def _own(attributes: Mapping[str, Any], data: object) -> Event:
    if attributes["charterversion"] != VERSION:
        raise EnvelopeError(f"charterversion: {attributes['charterversion']!r} is not {VERSION}")
    if not isinstance(data, dict):
        raise EnvelopeError(f"data: must be a JSON object, not {type(data).__name__}")
    try:
        rest = msgspec.json.decode(attributes.get("charterenvelope", "{}"), type=ready(_Rest))
    except (*JSON_FAULTS, TypeError) as error:
        raise EnvelopeError(f"charterenvelope: {error}") from error
    timestamp = _unix(attributes.get("time")) if rest.timestamp is None else rest.timestamp
    if timestamp is None:
        raise EnvelopeError("time: is missing")
    _check_time(timestamp, "charterenvelope: timestamp")
    meta = {**_MINIMAL, **rest.meta}
    meta |= {key: attributes[attribute] for key, attribute in _CARRIED.items() if attribute in attributes}
    if added := {name: value for name, value in attributes.items() if name not in _CORE | _OURS}:
        before = meta.get("cloudevent")
        meta["cloudevent"] = {**(before if isinstance(before, dict) else {}), **_plain(added)}
    return Event(
        id=attributes["id"],
        type=attributes["type"],
        source=attributes["source"],
        target=attributes.get("chartertarget", rest.target),
        timestamp=timestamp,
        payload=data,
        meta=meta,
    )


def _foreign(attributes: Mapping[str, Any], data: object) -> Event:
    module = _module(attributes["source"])
    timestamp = _unix(attributes.get("time"))
    digest = sha256(f"{attributes['source']}\n{attributes['id']}".encode()).hexdigest()[:24]
    meta: dict[str, Any] = {
        "correlation_id": _text(attributes, "correlationid"),
        "version": VERSION,
        "cloudevent": _plain(attributes),
    }
    if parent := traceparent_in(_text(attributes, "traceparent") or ""):
        meta["traceparent"] = parent
        if state := _text(attributes, "tracestate"):
            meta["tracestate"] = state
    return Event(
        id=f"evt_{module}_{int((timestamp or 0) * 1000)}_{digest}",
        type=_type(attributes["type"]),
        source=f"{module}_service",
        timestamp=timestamp or 0.0,  # 0 is minted as now
        payload=_payload(data),
        meta=meta,
    )


def _type(foreign: str) -> str:
    """`OrderPaid` as cloudevent.order_paid, `com.example/OrderPaid` as com.example.order_paid; never a type of ours."""
    name = foreign
    if not _charter_type(name):
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", foreign).lower()
        words = [re.sub(r"[^a-z0-9_]+", "_", word).strip("_") for word in re.split(r"[./:]+", snake)]
        name = ".".join(word for word in words if word) or "event"
    if not _charter_type(name) or name in catalogue():
        name = f"{_PREFIX}.{name}"
    return name


def _module(source: str) -> str:
    """`https://github.com/acme/shop` as github_com_acme_shop; never a module that declares event types here."""
    path = re.sub(r"^[a-z][a-z0-9+.-]*:(//)?", "", source.lower())
    name = re.sub(r"[^a-z0-9]+", "_", path).strip("_").removesuffix("_service")[:_LONGEST_MODULE].strip("_")
    if not name[:1].isalpha() or name in {declared.module for declared in catalogue().values()}:
        name = f"{_PREFIX}_{name}".rstrip("_")
    return name


def _payload(data: object) -> dict[str, Any]:
    if isinstance(data, dict):
        return data
    if data is None:
        return {}
    if isinstance(data, bytes | bytearray):
        return {"data_base64": b64encode(data).decode()}
    return {"data": data}


def _parsed(data: object, content_type: object) -> object:
    """The data as JSON values, where it comes as bytes that are said to be JSON, and are."""
    if isinstance(data, bytes | bytearray) and isinstance(content_type, str) and _json_type(content_type):
        try:
            return msgspec.json.decode(data)
        except JSON_FAULTS:
            return data
    return data


def _unix(moment: object) -> float | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.tzinfo is None or moment.timestamp() <= 0:
        raise EnvelopeError(f"time: {moment!r} is not a time with a zone after 1970")
    return moment.timestamp()


def _check_time(timestamp: float, name: str) -> None:
    if not 0 < timestamp < 1e11:
        raise EnvelopeError(f"{name}: {timestamp!r} is not a time in Unix seconds")


def _text(attributes: Mapping[str, Any], name: str) -> str | None:
    value = attributes.get(name)
    return value if isinstance(value, str) and value else None


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes as JSON values, in the text forms that the specification gives them."""
    return {name: _canonical(value) for name, value in attributes.items()}


def _canonical(value: object) -> object:
    match value:
        case bool() | int() | str():
            return value
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case bytes() | bytearray():
            return b64encode(value).decode()
        case _:
            return str(value)


def _is_plain(value: object) -> bool:
    """Whether the value may be an attribute: the String type has no control characters."""
    return isinstance(value, str) and value != "" and value.isprintable()
