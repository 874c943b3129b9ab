"""PagerDuty's Events API v2, as far as a sender of alerts sees it.

Source: developer.pagerduty.com, "Events API v2 Overview" and "Send an Alert Event" (the limits, the codes and what a
dedup_key does); the form of a refusal as in PagerDuty's own OpenAPI file, reference/events-v2/openapiv3.json.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from brain.demo.stand_ins.common import StandIn, read_json

BODY_BYTES = 512_000
SEVERITIES = ("critical", "error", "warning", "info")
ACTIONS = ("trigger", "acknowledge", "resolve")
_KINDS = {"timestamp": str, "component": str, "group": str, "class": str, "custom_details": dict}


class PagerDutyStandIn(StandIn):
    """Keeps alerts by routing key and dedup_key: a trigger opens one or adds to the open one."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        """Every alert ever opened, the oldest first: dedup_key, status, triggers, summary, severity, opened_at."""
        self._open: dict[tuple[str, str], dict[str, Any]] = {}
        super().__init__(
            "PagerDuty",
            "https://developer.pagerduty.com/docs/send-alert-event",
            [Route("/v2/enqueue", self._enqueue, methods=["POST"])],
            things=lambda: self.alerts,
        )

    def reset(self) -> None:
        super().reset()
        self.alerts.clear()
        self._open.clear()

    async def _enqueue(self, request: Request) -> Response:
        raw = await request.body()
        event = read_json(raw)
        faults = [f"Body of {len(raw)} bytes is larger than 512 KB"] if len(raw) > BODY_BYTES else faults_of(event)
        if faults:
            refusal = {"status": "invalid event", "message": "Event object is invalid", "errors": faults}
            return self.answer(request, _hidden(event), 400, refusal)
        key = event.get("dedup_key") or uuid.uuid4().hex
        self._apply(event, key)
        done = {"status": "success", "message": "Event processed", "dedup_key": key}
        return self.answer(request, _hidden(event), 202, done)

    def _apply(self, event: dict[str, Any], key: str) -> None:
        name = (event["routing_key"], key)
        alert = self._open.get(name)
        match event["event_action"], alert:
            case "trigger", None:
                self._open[name] = {
                    "dedup_key": key,
                    "status": "triggered",
                    "triggers": 1,
                    "summary": event["payload"]["summary"],
                    "severity": event["payload"]["severity"],
                    "opened_at": time.time(),
                }
                self.alerts.append(self._open[name])
            case "trigger", dict():
                alert["triggers"] += 1
            case "acknowledge", dict():
                alert["status"] = "acknowledged"
            case "resolve", dict():
                alert["status"] = "resolved"
                del self._open[name]
            case _:
                pass  # to acknowledge or resolve what is not open has no effect


def faults_of(event: Any) -> list[str]:
    """What PagerDuty would object to in an event."""
    if not isinstance(event, dict):
        return ["JSON could not be parsed"]
    faults = []
    routing_key = event.get("routing_key")
    if not isinstance(routing_key, str) or len(routing_key) != 32:
        faults.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    action = event.get("event_action")
    if action not in ACTIONS:
        faults.append("'event_action' is missing or invalid")
    dedup_key = event.get("dedup_key")
    if dedup_key is not None and (not isinstance(dedup_key, str) or len(dedup_key) > 255):
        faults.append("'dedup_key' is longer than 255 characters")
    if action in ("acknowledge", "resolve") and not dedup_key:
        faults.append("'dedup_key' is missing or blank")
    if action == "trigger":
        faults += _payload_faults(event.get("payload"))
        links = event.get("links", [])
        if not isinstance(links, list) or not all(isinstance(link, dict) and link.get("href") for link in links):
            faults.append("'links' must be objects with 'href'")
    return faults


def _payload_faults(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    faults = [
        f"'payload.{name}' is missing or blank"
        for name in ("summary", "source", "severity")
        if not isinstance(payload.get(name), str) or not payload[name]
    ]
    if len(str(payload.get("summary", ""))) > 1024:
        faults.append("'payload.summary' is longer than 1024 characters")
    if payload.get("severity") and payload["severity"] not in SEVERITIES:
        faults.append(f"'payload.severity' is invalid (must be one of {', '.join(SEVERITIES)})")
    faults += [f"'payload.{n}' is invalid" for n, kind in _KINDS.items() if type(payload.get(n, kind())) is not kind]
    return faults


def _hidden(event: Any) -> Any:
    return {**event, "routing_key": "***"} if isinstance(event, dict) and "routing_key" in event else event
