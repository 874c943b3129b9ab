"""PagerDuty, through its Events API v2.

Source: developer.pagerduty.com, "Events API v2 Overview" (codes, retries, 512 KB) and "Send an Alert Event" (fields,
lengths, what a dedup_key does); the 32 characters of a routing key and the form of a refusal from its OpenAPI file.
Lengths are documented in characters, that of a body in bytes: UTF-16 units are never fewer than characters.
A trigger sent twice adds a log entry to the open alert, a second acknowledge or resolve is dropped: retrying is safe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, TypedDict

import msgspec
from pydantic import Field

from brain.connectors.notifiers import Notifier, NotifierSettings
from brain.connectors.pages import Page, PageAction
from brain.connectors.sender import Refused, Request, TryLater, read_words
from brain.connectors.urls import BaseUrl
from brain.errors import InvalidInput
from brain.json_text import JSON_FAULTS
from brain.neutral import json_bytes, plain_values
from brain.secret import Secret
from brain.text import one_line_units, short_key_units

SERVICE = "PagerDuty"
BODY_BYTES = 512_000
SUMMARY_CHARACTERS = 1024
DEDUP_CHARACTERS = 255
ROUTING_KEY_CHARACTERS = 32
_TEXT_CHARACTERS = 1024  # of source, component, group, class, for which no limit is documented
_LINKS = 50
_URL_CHARACTERS = 2048
_CUTS = (65_536, 16_384, 4096, 1024, 256)

PagerDutyAction = Literal["trigger", "acknowledge", "resolve"]
PagerDutySeverity = Literal["critical", "error", "warning", "info"]
_SEVERITIES: Mapping[str, PagerDutySeverity] = {
    "CRITICAL": "critical",
    "HIGH": "error",
    "ERROR": "error",
    "MEDIUM": "warning",
    "WARNING": "warning",
    "LOW": "info",
    "INFO": "info",
}


class PagerDutySettings(NotifierSettings):
    """One integration of one PagerDuty service."""

    routing_key: Secret = Field(description="Integration key of an Events API v2 integration: 32 characters")
    url: BaseUrl = Field(
        default="https://events.pagerduty.com", description="Events API; the EU's has a host of its own"
    )
    client: str = Field(default="BRAiN EventStream", description="Name that PagerDuty shows as the sender")
    client_url: str = Field(default="", description="Link behind that name, when an alert brings none of its own")


@dataclass(frozen=True, slots=True, kw_only=True)
class PagerDutyLink:
    """A link shown with an alert."""

    href: str
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PagerDutyAlert:
    """The content of a trigger."""

    dedup_key: str
    """Names the alert; acknowledge and resolve with the same. Hashed when longer than 255 characters."""
    summary: str
    source: str
    severity: str
    """One of ours, of threats or of health events."""
    timestamp: float | None = None
    """When it happened, in Unix seconds."""
    component: str = ""
    group: str = ""
    kind: str = ""
    """PagerDuty's `class`."""
    details: Mapping[str, Any] = field(default_factory=dict)
    links: Sequence[PagerDutyLink] = ()
    client_url: str = ""


class PagerDutyAnswer(TypedDict):
    """PagerDuty's answer."""

    status: str
    message: str
    dedup_key: str


class PagerDuty(Notifier[PagerDutySettings]):
    """Sends alerts to one integration."""

    settings_model: ClassVar[type[PagerDutySettings]] = PagerDutySettings

    async def send(self, page: Page) -> Mapping[str, Any]:
        """Trigger, acknowledge or resolve the alert that `page.dedup_key` names."""
        if page.action.is_paging:
            return {**await self.trigger(pagerduty_alert(page))}
        if page.action is PageAction.ACKNOWLEDGE:
            return {**await self.acknowledge(page.dedup_key)}
        return {**await self.resolve(page.dedup_key)}

    @classmethod
    def check(cls, settings: PagerDutySettings) -> None:
        """Raise InvalidInput for a routing key of the wrong length."""
        follow_up_event(settings, "resolve", "brain")

    async def trigger(self, alert: PagerDutyAlert) -> PagerDutyAnswer:
        """Open an alert, or add to the one that is open. Raises Refused and TryLater."""
        return await self._send(trigger_event(self._settings, alert))

    async def acknowledge(self, dedup_key: str) -> PagerDutyAnswer:
        """Acknowledge the alert; no effect when it is not open. Raises Refused and TryLater."""
        return await self._send(follow_up_event(self._settings, "acknowledge", dedup_key))

    async def resolve(self, dedup_key: str) -> PagerDutyAnswer:
        """Resolve the alert; no effect when it is not open. Raises Refused and TryLater."""
        return await self._send(follow_up_event(self._settings, "resolve", dedup_key))

    async def _send(self, event: Mapping[str, Any]) -> PagerDutyAnswer:
        try:
            answer = await self._sender.send(SERVICE, enqueue(self._settings, event), words=_words)
        except Refused as error:
            if error.service_status != 403:
                raise
            raise TryLater(f"{error}; check the routing_key", service_status=403, about_connection=True) from error
        found = _read(answer.body)
        if answer.status not in (200, 202) or found.get("status") != "success":
            said = f"{SERVICE} answered {answer.status} without the status `success`: {_words(answer.body)}"
            raise TryLater(said, service_status=answer.status, about_connection="status" not in found)
        return PagerDutyAnswer(
            status=str(found.get("status", "")),
            message=str(found.get("message", "")),
            dedup_key=str(found.get("dedup_key", event["dedup_key"])),
        )


def pagerduty_alert(page: Page) -> PagerDutyAlert:
    """The page as an alert: named by its dedup_key, with everything else among its details."""
    details: dict[str, Any] = {"route": page.route}
    if page.alerts:
        details |= {"alerts": page.alerts, "alerts_total": page.alerts_total}
    if page.held_back:
        details |= {"held_back": page.held_back, "held_back_total": page.held_back_total}
    if page.decisions:
        details["decisions"] = page.decisions
    if page.timeline:
        details["timeline"] = [asdict(step) for step in page.timeline]
    return PagerDutyAlert(
        dedup_key=page.dedup_key,
        summary=page.title,
        source=page.agent or "brain",
        severity=page.severity,
        timestamp=page.lead.get("first_at", page.at),
        component=page.agent,
        group=page.route,
        kind=page.lead.get("name", ""),
        details=details,
        links=[PagerDutyLink(href=url, text=text) for text, url in page.links],
        client_url=page.links[0][1] if page.links else "",
    )


def severity_of(ours: str) -> PagerDutySeverity:
    """PagerDuty's word for a severity of ours; one that is not known is an `error`, so that nobody overlooks it."""
    return _SEVERITIES.get(ours.upper(), "error")


def trigger_event(settings: PagerDutySettings, alert: PagerDutyAlert) -> dict[str, Any]:
    """The event that opens an alert, cut to PagerDuty's lengths. Raises InvalidInput as `follow_up_event` does."""
    payload: dict[str, Any] = {
        "summary": one_line_units(alert.summary, SUMMARY_CHARACTERS) or "(no summary)",
        "source": one_line_units(alert.source, _TEXT_CHARACTERS) or "unknown",
        "severity": severity_of(alert.severity),
    }
    if alert.timestamp is not None:
        payload["timestamp"] = datetime.fromtimestamp(alert.timestamp, UTC).isoformat(timespec="milliseconds")
    named = {"component": alert.component, "group": alert.group, "class": alert.kind}
    payload |= {name: one_line_units(text, _TEXT_CHARACTERS) for name, text in named.items() if text}
    if alert.details:
        payload["custom_details"] = plain_values(alert.details)
    event = {**follow_up_event(settings, "trigger", alert.dedup_key), "payload": payload, "client": settings.client}
    if client_url := alert.client_url or settings.client_url:
        event["client_url"] = client_url
    if alert.links:
        event["links"] = [
            {"href": link.href, "text": one_line_units(link.text or link.href, _TEXT_CHARACTERS)}
            for link in alert.links[:_LINKS]
            if len(link.href) <= _URL_CHARACTERS
        ]
    return event


def follow_up_event(settings: PagerDutySettings, action: PagerDutyAction, dedup_key: str) -> dict[str, Any]:
    """The event that acknowledges or resolves an alert.

    Raises InvalidInput for an empty dedup_key, and for a routing key in the settings that cannot be one.
    """
    if not dedup_key:
        raise InvalidInput("dedup_key: is empty; without it the alert could never be resolved")
    routing_key = settings.routing_key.reveal()
    if len(routing_key) != ROUTING_KEY_CHARACTERS:  # found here, since PagerDuty's refusal of it would be final
        raise InvalidInput(f"routing_key: has {len(routing_key)} characters; an integration key has 32")
    return {
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": short_key_units(dedup_key, DEDUP_CHARACTERS),
    }


def enqueue(settings: PagerDutySettings, event: Mapping[str, Any]) -> Request:
    """The request for an event; what makes it longer than 512,000 bytes is cut from its custom_details."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    return Request("POST", f"{settings.url}/v2/enqueue", headers, _fit(event))


def _fit(event: Mapping[str, Any]) -> bytes:
    body = json_bytes(msgspec.json.encode(event))
    details = event.get("payload", {}).get("custom_details")
    if len(body) <= BODY_BYTES or not details:
        return body
    for longest in _CUTS:
        shortened = {name: _cut(value, longest) for name, value in details.items()}
        cut = sum(shortened[name] is not value for name, value in details.items())
        body = _with_details(event, {"cut": f"{cut} of {len(details)} details cut to fit 512,000 bytes", **shortened})
        if len(body) <= BODY_BYTES:
            return body
    left_out = f"all {len(details)} details left out to fit 512,000 bytes"
    return _with_details(event, {"cut": left_out})


def _with_details(event: Mapping[str, Any], details: Mapping[str, Any]) -> bytes:
    return json_bytes(msgspec.json.encode({**event, "payload": {**event["payload"], "custom_details": details}}))


def _cut(value: Any, longest: int) -> Any:
    encoded = msgspec.json.encode(value)
    if len(encoded) <= longest:
        return value
    text = value if isinstance(value, str) else encoded.decode()
    return text.encode()[: longest // 2].decode("utf-8", "ignore") + "… (cut)"


def _read(body: bytes) -> Mapping[str, Any]:
    """The answer's JSON object; an empty one where it is something else, as a proxy's page."""
    try:
        found = msgspec.json.decode(body)
    except JSON_FAULTS:
        return {}
    return found if isinstance(found, dict) else {}


def _words(body: bytes) -> str:
    try:
        found = msgspec.json.decode(body)
        return f"{found['message']}: {'; '.join(map(str, found['errors']))}"
    except (*JSON_FAULTS, KeyError, TypeError):
        return read_words(body)
