"""The AsyncAPI 3.0 document: a channel and a message for each event type, with the payload's JSON Schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from brain import limits
from brain.charter import VERSION, EventType
from brain.docs_gen import PluginDocs, example_event

_SCHEMAS = "#/components/schemas/"

_META = {
    "type": "object",
    "required": ["correlation_id", "version"],
    "properties": {
        "correlation_id": {"type": ["string", "null"], "description": "The id of all that belongs together"},
        "version": {"type": "string", "const": VERSION, "description": "The Charter's version"},
        "causation_id": {"type": "string", "description": "The id of the event that led to this one"},
        "traceparent": {"type": "string", "description": "W3C trace context"},
    },
    "additionalProperties": True,
}


def asyncapi_document(modules: Sequence[PluginDocs]) -> dict[str, Any]:
    """The document, ready to be written as JSON; the same for the same declarations."""
    events = [event for module in modules for event in module.events]
    references, schemas = msgspec.json.schema_components(
        [event.payload for event in events], ref_template=_SCHEMAS + "{name}"
    )
    payloads = {event.name: reference for event, reference in zip(events, references, strict=True)}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "BRAiN EventStream",
            "version": f"{VERSION}.0",
            "description": "The events of policy, threats and health, each in the envelope of Charter v1.0, of at most "
            f"{limits.EVENT_BYTES} bytes and {limits.EVENT_DEPTH} levels.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "live": {
                "host": "127.0.0.1:8765",
                "pathname": "/api/events/live",
                "protocol": "http",
                "description": "Server-sent events: `event:` is the type, `data:` the envelope, `id:` the position",
            }
        },
        "channels": {event.name: _channel(event) for event in events},
        "operations": {
            f"publish.{event.name}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{event.name}"},
                "messages": [{"$ref": f"#/channels/{event.name}/messages/event"}],
            }
            for event in events
        },
        "components": {
            "messages": {event.name: _message(event, payloads[event.name]) for event in events},
            "schemas": {**schemas, "Meta": _META},
        },
    }


def _channel(event: EventType[Any]) -> dict[str, Any]:
    return {
        "address": event.name,
        "description": event.purpose,
        "messages": {"event": {"$ref": f"#/components/messages/{event.name}"}},
    }


def _message(event: EventType[Any], payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": event.name,
        "title": event.name,
        "summary": event.purpose,
        "tags": [
            {"name": f"module:{event.module}"},
            {"name": f"priority:{event.priority}"},
            {"name": f"frequency:{event.frequency}"},
        ],
        "payload": {
            "type": "object",
            "required": ["id", "type", "source", "target", "timestamp", "payload", "meta"],
            "additionalProperties": False,
            "properties": {
                "id": {"type": "string", "pattern": f"^evt_{event.module}_[0-9]+_[0-9a-f]{{12,}}$"},
                "type": {"type": "string", "const": event.name},
                "source": {"type": "string", "const": event.source},
                "target": {"type": ["string", "null"]},
                "timestamp": {"type": "number", "description": "Unix seconds"},
                "payload": payload,
                "meta": {"$ref": f"{_SCHEMAS}Meta"},
            },
        },
        "examples": [{"payload": msgspec.to_builtins(example_event(event))}],
    }
