"""The kinds of inbound connectors: how each signs, which of its headers are kept, and how its body is read."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote_plus, unquote

import msgspec

from brain.errors import InvalidInput
from brain.json_text import json_fault
from brain.limits import BODY_DEPTH
from brain.redaction import redacted_body

SINGER = "singer"
ALERTMANAGER = "alertmanager"
_YEAR_ONE = "0001-01-01T"


@dataclass(frozen=True)
class WebhookKind:
    """One kind of sender."""

    scheme: str
    """How it signs, when the settings do not say."""
    headers: tuple[str, ...] = ()
    """The headers that its mapping may use, and that are kept with the delivery."""
    read: Callable[[Mapping[str, str], Any], Any] = field(default=lambda headers, body: body)
    """The document that the mapping sees, from the headers and the JSON of the body."""


def _alertmanager(headers: Mapping[str, str], body: Any) -> Any:
    """Its alerts, with null where it writes the year 1: they have no end yet."""
    if not isinstance(body, dict) or str(body.get("version")) != "4":
        raise InvalidInput("body: is no message of Alertmanager's webhooks of version 4")
    alerts = body.get("alerts")
    if isinstance(alerts, list):
        body = {**body, "alerts": [_without_year_one(alert) for alert in alerts]}
    return body


def _without_year_one(alert: Any) -> Any:
    if isinstance(alert, dict) and str(alert.get("endsAt", "")).startswith(_YEAR_ONE):
        return {**alert, "endsAt": None}
    return alert


def _cloudevents(headers: Mapping[str, str], body: Any) -> Any:
    """`{"events": [...]}` of all three modes; attributes and data are keys of each."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/cloudevents-batch+json":
        events = body
    elif media_type == "application/cloudevents+json":
        events = [body]
    else:
        attributes = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
        events = [{**attributes, "data": body}]
    if not isinstance(events, list):
        raise InvalidInput("body: a batch of CloudEvents must be a list")
    for number, event in enumerate(events):
        missing = [name for name in ("id", "source", "type", "specversion") if not _is_set(event, name)]
        if missing:
            raise InvalidInput(f"CloudEvent {number}: {missing[0]} is missing, or no text")
        if not str(event["specversion"]).startswith("1."):
            raise InvalidInput(f"CloudEvent {number}: specversion {event['specversion']!r} is not 1.0")
    return {"events": events}


def _is_set(event: Any, name: str) -> bool:
    return isinstance(event, dict) and isinstance(event.get(name), str) and event[name] != ""


WEBHOOKS: Mapping[str, WebhookKind] = {
    "alertmanager": WebhookKind("token", read=_alertmanager),
    "cloudevents": WebhookKind("token", ("ce-*", "webhook-id"), _cloudevents),
    "github": WebhookKind("github", ("x-github-delivery", "x-github-event", "x-github-hook-id")),
    "gitlab": WebhookKind(
        "gitlab", ("webhook-id", "idempotency-key", "x-gitlab-event", "x-gitlab-event-uuid", "x-gitlab-instance")
    ),
    "pagerduty": WebhookKind("pagerduty", ("x-webhook-id",)),
    "sentry": WebhookKind("sentry", ("request-id", "sentry-hook-resource", "sentry-hook-timestamp")),
    "standard": WebhookKind("standard", ("webhook-id", "webhook-timestamp")),
    "stripe": WebhookKind("stripe"),
}
"""The kinds of webhooks that come in, by name."""


def kept_headers(kind: WebhookKind, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a delivery that are kept: no signature and no token. Values are cut to 1,000 characters."""
    wanted = {"content-type", "user-agent", *kind.headers}
    return {
        name: value[:1000]
        for name, value in headers.items()
        if name in wanted or ("ce-*" in wanted and name.startswith("ce-"))
    }


def kept_body(headers: Mapping[str, str], body: bytes) -> bytes:
    """The body of a delivery as it is kept: without secrets, else as it came."""
    form = headers.get("content-type", "").partition(";")[0].strip().lower() == "application/x-www-form-urlencoded"
    try:
        content = _payload_field(body) if form else body
    except InvalidInput:  # a form of another kind, which is kept to be looked at
        form, content = False, body
    shown = redacted_body(content)
    if shown == content:
        return body
    return b"payload=" + quote_plus(shown).encode() if form else shown


def document_of(kind: WebhookKind, headers: Mapping[str, str], body: bytes) -> Any:
    """What the mapping of this kind sees. Raises InvalidInput for a body that is none of its kind."""
    media_type = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":  # GitHub's other form
        body = _payload_field(body)
    elif not (media_type == "application/json" or media_type.endswith("+json")):
        if kind.read is not _cloudevents:
            raise InvalidInput(f"content-type: {media_type!r} is not JSON; have it sent as application/json")
        return kind.read(headers, _text_or_base64(body))
    if (fault := json_fault(body, BODY_DEPTH)) is not None:
        raise InvalidInput(f"body: is not valid JSON: {fault}")
    return kind.read(headers, msgspec.json.decode(body))


def _payload_field(body: bytes) -> bytes:
    try:
        fields = parse_qs(body.decode(), max_num_fields=10, strict_parsing=True)
    except ValueError as error:
        raise InvalidInput(f"body: is no form: {error}") from error
    if "payload" not in fields:
        raise InvalidInput("body: the form has no field payload")
    return fields["payload"][0].encode()


def _text_or_base64(body: bytes) -> Any:
    """Data that is no JSON."""
    try:
        return body.decode() or None
    except UnicodeDecodeError:
        return {"data_base64": b64encode(body).decode()}
