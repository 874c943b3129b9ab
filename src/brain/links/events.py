"""The events of connectors."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

ConnectorName = Annotated[str, Meta(description="The connector's name in the settings.")]
Kind = Annotated[str, Meta(description="Its kind, such as `github`, `singer` or `slack`.")]
Moment = Annotated[float, Meta(description="When it happened, in Unix seconds.")]
Status = Annotated[str, Meta(description="UNKNOWN, OK, ERROR or STOPPED.")]
By = Annotated[str | None, Meta(description="The person who did it; null when nobody was named.")]


class PayloadRef(TypedDict):
    """Where the delivery that the event was made from is kept."""

    sha256: Annotated[str, Meta(description="Of its bytes, in hexadecimal.")]
    bytes: Annotated[int, Meta(ge=0, description="How many bytes it has.")]
    media_type: Annotated[str, Meta(description="Its media type.")]
    uri: Annotated[str | None, Meta(description="Its path at this server; null for what is not kept.")]


class ConnectorRegistered(TypedDict):
    """A connector that the settings have and had not."""

    connector_id: ConnectorName
    connector_type: Kind
    display_name: Annotated[str, Meta(description="The same name, for people.")]
    direction: Annotated[str, Meta(description="inbound or outbound.")]
    registered_at: Moment


class ConnectorUnregistered(TypedDict):
    """A connector that the settings have no more."""

    connector_id: ConnectorName
    unregistered_at: Moment


class ConnectorStarted(TypedDict):
    """A connector that was resumed."""

    connector_id: ConnectorName
    connector_type: Kind
    by: By
    started_at: Moment


class ConnectorStopped(TypedDict):
    """A connector that was paused."""

    connector_id: ConnectorName
    connector_type: Kind
    reason: Annotated[str, Meta(description="The reason in words; empty when none was given.")]
    by: By
    stopped_at: Moment


class ConnectorStatusChanged(TypedDict):
    """A connector that is now otherwise than it was."""

    connector_id: ConnectorName
    old_status: Status
    new_status: Status
    reason: Annotated[str, Meta(description="What made it so.")]
    changed_at: Moment


class ConnectorReceived(TypedDict):
    """One thing that came in, mapped."""

    connector_id: ConnectorName
    kind: Kind
    name: Annotated[str, Meta(description="What happened, in the sender's words: `pull_request.opened`.")]
    subject: Annotated[str | None, Meta(description="What it happened to: a repository, an alert's name; null: none.")]
    fields: Annotated[dict[str, Any], Meta(description="What the mapping took of it, by name.")]
    fields_cut: Annotated[bool, Meta(description="Whether the fields were too large, and are only in the delivery.")]
    occurred_at: Annotated[float | None, Meta(description="When the sender says it happened, in Unix seconds.")]
    dedup_key: Annotated[str, Meta(description="What the sender knows it by; it becomes an event once.")]
    bytes: Annotated[int, Meta(ge=0, description="How many bytes came.")]
    payload_ref: Annotated[PayloadRef | None, Meta(description="The delivery as it came; null where it is not kept.")]
    replayed: Annotated[bool, Meta(description="Whether a person had the stored delivery mapped again.")]
    received_at: Moment


class ConnectorDelivered(TypedDict):
    """A message that the service has accepted."""

    connector_id: ConnectorName
    message_id: Annotated[str, Meta(description="The message's id.")]
    agent_id: Annotated[str, Meta(description="Who sent it.")]
    attempts: Annotated[int, Meta(ge=1, description="Tries, this one included.")]
    duration_ms: Annotated[float, Meta(ge=0, description="From its acceptance here to the service's answer.")]
    delivered_at: Moment


class ConnectorDeliveryFailed(TypedDict):
    """A message that the service will never accept."""

    connector_id: ConnectorName
    message_id: Annotated[str, Meta(description="The message's id.")]
    agent_id: Annotated[str, Meta(description="Who sent it.")]
    service_words: Annotated[str, Meta(description="The service's answer, shortened.")]
    final: Annotated[bool, Meta(description="Whether it is tried no more.")]
    failed_at: Moment


class ConnectorError(TypedDict):
    """Something that a connector could not do."""

    connector_id: ConnectorName
    error: Annotated[str, Meta(description="What went wrong, and what to do.")]
    context: Annotated[dict[str, Any], Meta(description="What it was about, such as the stored delivery.")]
    occurred_at: Moment


class SignatureRefused(TypedDict):
    """Deliveries whose signature does not fit. Those of one address within a minute are one event."""

    connector_id: ConnectorName
    remote: Annotated[str, Meta(description="The address that they came from.")]
    reason: Annotated[str, Meta(description="What was wrong with the last of them.")]
    count: Annotated[int, Meta(ge=1, description="How many there were since the last such event.")]
    first_at: Moment
    last_at: Moment


class SchemaDrift(TypedDict):
    """A field that changed its type, or is gone."""

    connector_id: ConnectorName
    name: Annotated[str, Meta(description="The name of the thing, or of the Singer stream.")]
    path: Annotated[str, Meta(description="The field.")]
    change: Annotated[str, Meta(description="type or vanished.")]
    expected: Annotated[str, Meta(description="Its type so far.")]
    seen: Annotated[str | None, Meta(description="Its type now; null for a field that is gone.")]
    seen_at: Moment


class CursorMoved(TypedDict):
    """A tap's run that has ended with another STATE than it began with."""

    connector_id: ConnectorName
    previous: Annotated[Any, Meta(description="The STATE before.")]
    cursor: Annotated[Any, Meta(description="The STATE now; all records before it are on the stream.")]
    records: Annotated[int, Meta(ge=0, description="Records of this run that became events.")]
    duplicates: Annotated[int, Meta(ge=0, description="Records of this run that were known.")]
    moved_at: Moment


class ConnectorHealthCheck(TypedDict):
    """The result of a test that a person asked for."""

    connector_id: ConnectorName
    status: Status
    detail: Annotated[str, Meta(description="What was tested, and what came of it.")]
    latency_ms: Annotated[float | None, Meta(description="How long the service took to answer; null: none was asked.")]
    checked_at: Moment


_AT = 1703001234.5
_REF: PayloadRef = {
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "bytes": 20911,
    "media_type": "application/json",
    "uri": "/api/connectors/github/deliveries/17",
}

REGISTERED = EventType(
    name="connector.registered",
    module="connectors",
    payload=ConnectorRegistered,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A connector was added to the settings.",
    example={
        "connector_id": "github",
        "connector_type": "github",
        "display_name": "github",
        "direction": "inbound",
        "registered_at": _AT,
    },
)
UNREGISTERED = EventType(
    name="connector.unregistered",
    module="connectors",
    payload=ConnectorUnregistered,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A connector was taken out of the settings.",
    example={"connector_id": "github", "unregistered_at": _AT},
)
STARTED = EventType(
    name="connector.started",
    module="connectors",
    payload=ConnectorStarted,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A paused connector was resumed; what came meanwhile is mapped.",
    example={"connector_id": "github", "connector_type": "github", "by": "ann", "started_at": _AT},
)
STOPPED = EventType(
    name="connector.stopped",
    module="connectors",
    payload=ConnectorStopped,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A connector was paused; what comes is kept, and waits.",
    example={
        "connector_id": "github",
        "connector_type": "github",
        "reason": "the mapping is being changed",
        "by": "ann",
        "stopped_at": _AT,
    },
)
STATUS_CHANGED = EventType(
    name="connector.status_changed",
    module="connectors",
    payload=ConnectorStatusChanged,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A connector began to work, failed, recovered or was paused.",
    example={
        "connector_id": "github",
        "old_status": "OK",
        "new_status": "ERROR",
        "reason": "delivery 17: body: is not JSON",
        "changed_at": _AT,
    },
)
RECEIVED = EventType(
    name="connector.received",
    module="connectors",
    payload=ConnectorReceived,
    priority=Priority.MEDIUM,
    frequency=Frequency.HIGH,
    purpose="Something came in through a connector whose mapping names no type of its own.",
    example={
        "connector_id": "github",
        "kind": "github",
        "name": "pull_request.opened",
        "subject": "acme/shop",
        "fields": {"actor": "ann", "url": "https://github.com/acme/shop/pull/7", "number": 7},
        "fields_cut": False,
        "occurred_at": None,
        "dedup_key": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "bytes": 20911,
        "payload_ref": _REF,
        "replayed": False,
        "received_at": _AT,
    },
)
DELIVERED = EventType(
    name="connector.delivered",
    module="connectors",
    payload=ConnectorDelivered,
    priority=Priority.MEDIUM,
    frequency=Frequency.MEDIUM,
    purpose="A service accepted a message that an agent sent through a connector.",
    example={
        "connector_id": "room",
        "message_id": "msg_5d0c1f27a9b34e86",
        "agent_id": "agent-7",
        "attempts": 1,
        "duration_ms": 182.0,
        "delivered_at": _AT,
    },
)
DELIVERY_FAILED = EventType(
    name="connector.delivery_failed",
    module="connectors",
    payload=ConnectorDeliveryFailed,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A service will never accept a message that an agent sent.",
    example={
        "connector_id": "room",
        "message_id": "msg_5d0c1f27a9b34e86",
        "agent_id": "agent-7",
        "service_words": "Slack refused the request (404): no_service",
        "final": True,
        "failed_at": _AT,
    },
)
ERROR = EventType(
    name="connector.error",
    module="connectors",
    payload=ConnectorError,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A delivery could not be mapped, or a tap's run failed.",
    example={
        "connector_id": "orders",
        "error": "the tap ended with exit code 1; its records so far are kept",
        "context": {"exit_code": 1},
        "occurred_at": _AT,
    },
)
SIGNATURE_REFUSED = EventType(
    name="connector.signature_refused",
    module="connectors",
    payload=SignatureRefused,
    priority=Priority.CRITICAL,
    frequency=Frequency.LOW,
    purpose="An address sends deliveries whose signature does not fit.",
    example={
        "connector_id": "github",
        "remote": "203.0.113.77",
        "reason": "x-hub-signature-256: does not match the message; check the secret",
        "count": 725,
        "first_at": _AT,
        "last_at": _AT + 50,
    },
)
SCHEMA_DRIFT = EventType(
    name="connector.schema_drift",
    module="connectors",
    payload=SchemaDrift,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A field that a connector reads changed its type, or vanished.",
    example={
        "connector_id": "orders",
        "name": "orders",
        "path": "total",
        "change": "type",
        "expected": "number",
        "seen": "string",
        "seen_at": _AT,
    },
)
CURSOR_MOVED = EventType(
    name="connector.cursor_moved",
    module="connectors",
    payload=CursorMoved,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A tap's run ended with a new STATE.",
    example={
        "connector_id": "orders",
        "previous": None,
        "cursor": {"bookmarks": {"orders": {"replication_key_value": 10000}}},
        "records": 10000,
        "duplicates": 0,
        "moved_at": _AT,
    },
)
HEALTH_CHECK = EventType(
    name="connector.health_check",
    module="connectors",
    payload=ConnectorHealthCheck,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A person tested a connector.",
    example={
        "connector_id": "alerts",
        "status": "OK",
        "detail": "Alertmanager 0.25.0 is ready",
        "latency_ms": 3.2,
        "checked_at": _AT,
    },
)

EVENTS: tuple[EventType[Any], ...] = (
    REGISTERED,
    UNREGISTERED,
    STARTED,
    STOPPED,
    STATUS_CHANGED,
    RECEIVED,
    DELIVERED,
    DELIVERY_FAILED,
    ERROR,
    SIGNATURE_REFUSED,
    SCHEMA_DRIFT,
    CURSOR_MOVED,
    HEALTH_CHECK,
)
